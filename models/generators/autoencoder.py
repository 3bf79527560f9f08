"""wip"""
import torch
import torch.nn.functional as F
from torch import Tensor
from assets.progress import counter
from models.generators.training import one_cycle

def blocks(channels, layers=1, groups=8):
    n=len(channels)
    return dict(down_block_types=("DownEncoderBlock2D",)*n, up_block_types=("UpDecoderBlock2D",)*n, block_out_channels=tuple(channels),
        layers_per_block=layers, norm_num_groups=groups, mid_block_add_attention=False)

def sharp_loss(made: Tensor, real: Tensor) -> Tensor:
    """L1 over a Laplacian pyramid, finest octaves weighted up + spectrum magnitudes."""
    loss=made.new_zeros(())
    for _ in range(3):
        loss = loss + (made-real).abs().mean()
        loss = loss + 0.5*((made.diff(dim=2)-real.diff(dim=2)).abs().mean()+(made.diff(dim=3)-real.diff(dim=3)).abs().mean())
        made, real = F.avg_pool2d(made,2), F.avg_pool2d(real,2)
    return loss

def spectrum_loss(made: Tensor, real: Tensor, window: int = 8) -> Tensor:
    """L1 of local spectrum magnitudes: asks for texture of the right strength without right phase."""
    def mag(x):
        p = F.unfold(x.flatten(0,1)[:,None], window, stride=window)  # (B*C, w*w, L)
        p = p.transpose(1,2).reshape(-1,window,window)
        f = torch.fft.rfft2(p,norm="ortho")
        return (f.real.square()+f.imag.square()+1e-6).sqrt()
    return (mag(made)-mag(real)).abs().mean()
