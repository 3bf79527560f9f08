"""One training in several processes, a GPU each, on one machine or several; Hugging Face Accelerate.

Every process sees its share of a batch; gradients are averaged, so that the step is that of the whole batch
up to rounding. Without several processes nothing of this is loaded.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from assets.machine import DEVICE, devices

Item = TypeVar("Item")
_SECONDS = 0.2
_PATIENCE = 10.0
"""Seconds for the other processes to end by themselves when one has failed."""


class Processes:
    """The processes that train together, as one of them sees them; alone it is the first of one."""

    count = 1
    rank = 0

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part of a batch: neighbours, so that each part is as mixed as the whole."""
        start, end = (len(items) * number // self.count for number in (self.rank, self.rank + 1))
        return list(items[start:end])

    def total(self, values: Tensor) -> Tensor:
        """The sum of these values over all processes."""
        return values

    def gathered(self, item: Item) -> list[Item]:
        """What every process has, in their order."""
        return [item]

    def close(self) -> None:
        """After the last exchange."""

    def equal_buffers(self, net: nn.Module) -> None:
        """Give all processes the first one's statistics of batch norms."""

    def joined(self, module: nn.Module) -> nn.Module:
        """`module`, whose gradients are averaged over the processes in every backward pass."""
        return module

    def apart(self, module: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """Within the block gradients are added up here alone."""
        return contextlib.nullcontext()

    def with_shared_norms(self, net: nn.Module) -> nn.Module:
        """The network with batch norms over the whole batch, where the device can do that."""
        return net


class _Several(Processes):
    def __init__(self) -> None:
        # Each process computes on its own device of ASSAY_DEVICE; under another launcher, on the local GPU.
        local, names = int(os.environ.get("LOCAL_RANK", "0")), devices()
        name = names[local % len(names)]
        if name == "cuda":
            name = f"cuda:{local % torch.cuda.device_count()}"
        os.environ["ACCELERATE_TORCH_DEVICE"] = name
        os.environ["ACCELERATE_BYPASS_DEVICE_MAP"] = "true"  # it would take the GPU of the process's number
        os.environ.setdefault(
            "OMP_NUM_THREADS", "1"
        )  # as make_repeatable has it; else Accelerate sets its own
        if name != "cpu":
            torch.cuda.set_device(name)
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # A phase may leave parts of the network out of its loss.
        options = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=name == "cpu", mixed_precision="no", kwargs_handlers=[options])
        self.count, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        super().__init__(name)

    def total(self, values: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(values.to(self.device), "sum")
        return summed

    def gathered(self, item: Item) -> list[Item]:
        from accelerate.utils import gather_object

        return list(gather_object([item]))

    def close(self) -> None:
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def equal_buffers(self, net: nn.Module) -> None:
        from accelerate.utils import broadcast

        for buffer in net.buffers():
            buffer.copy_(broadcast(buffer))

    def joined(self, module: nn.Module) -> nn.Module:
        prepared: nn.Module = self.accelerator.prepare_model(module)
        return prepared

    def apart(self, module: nn.Module) -> contextlib.AbstractContextManager[Any]:
        quiet: contextlib.AbstractContextManager[Any] = self.accelerator.no_sync(module)
        return quiet

    def with_shared_norms(self, net: nn.Module) -> nn.Module:
        if self.device.type != "cuda":  # torch has it on GPUs alone
            return net
        from timm.layers import convert_sync_batchnorm

        return convert_sync_batchnorm(net)


def processes() -> Processes:
    """Those that this process was started with: by `launch`, `accelerate launch` or torchrun."""
    return _Several() if started_together() else Processes(devices()[0])


def started_together() -> bool:
    """Whether a launcher started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def named_devices() -> list[str]:
    """The devices to start processes on: several only where ASSAY_DEVICE names them.

    A machine with eight GPUs trains on one unless it is told to use more, because the number of processes
    changes a result in its last digits.
    """
    return devices() if os.environ.get(DEVICE) else []


def launch(module: str, arguments: Sequence[str], names: Sequence[str]) -> None:
    """Run `python -m MODULE ARGUMENTS` in one process for each device, and wait for all.

    The first one speaks; what others say is shown only where the first does not fail itself.

    Raises:
        SystemExit: one failed; the others are ended.
    """
    around = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(len(names)),
        "LOCAL_WORLD_SIZE": str(len(names)),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # it advises against options that some phases need
    }
    command = [sys.executable, "-m", module, *arguments]
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile() as said:
        try:
            for rank in range(len(names)):
                place = {**around, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                words = said if rank else None
                started.append(subprocess.Popen(command, env=place, stdout=words, stderr=words))
            _wait(started)
        finally:
            for process in started:
                process.kill()
                process.wait()
        status = [process.returncode for process in started]
        if any(status[1:]) and status[0] <= 0:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
    if bad := [code for code in status if code]:
        raise SystemExit(max(bad) if max(bad) > 0 else 1)


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or a while after the first failure, in which the others can say theirs."""
    interrupted, patience = False, _PATIENCE
    while patience > 0 and None in [process.poll() for process in started]:
        try:
            time.sleep(_SECONDS)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True  # the processes have it too, and end after their step
        if any(process.returncode for process in started):
            patience -= _SECONDS


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
