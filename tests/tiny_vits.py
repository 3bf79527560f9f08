"""Vision transformers of toy size that timm knows by name, registered as its own files register theirs."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from timm.layers import LayerNorm
from timm.models import VisionTransformer, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from assets.detection import Detector as Spec
from models.detectors import build
from models.detectors.detector import IMAGENET_MEAN, IMAGENET_STD, NORMALISATIONS
from models.detectors.starting import write_start
from tests.hub_server import COMMIT
from tests.random_detectors import pictures
from tests.random_weights import random_state

_SHARED: dict[str, Any] = {
    "input_size": (3, 32, 32),
    "fixed_input_size": True,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
}
default_cfgs = generate_default_cfgs(
    {
        "tiny_clip.made": {
            **_SHARED,
            "hf_hub_id": f"timm/tiny_clip.made@{COMMIT}",
            "num_classes": 24,
            "mean": NORMALISATIONS["clip"][0],
            "std": NORMALISATIONS["clip"][1],
        },
        "tiny_dino.made": {
            **_SHARED,
            "num_classes": 0,
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
        },
    }
)


@register_model
def tiny_clip(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """OpenAI's CLIP: norm before the blocks, quick GELU, and a projection as its last layer."""
    made = {"pre_norm": True, "norm_layer": partial(LayerNorm, eps=1e-5), "act_layer": "quick_gelu"}
    return _made("tiny_clip", pretrained, {**made, **kwargs})


@register_model
def tiny_dino(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """DINOv2 with registers: scaled layers, tokens without a position, no classifier."""
    made = {"init_values": 1e-5, "reg_tokens": 2, "no_embed_class": True}
    return _made("tiny_dino", pretrained, {**made, **kwargs})


def _made(name: str, pretrained: bool, kwargs: dict[str, Any]) -> VisionTransformer:
    size = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 32}
    model: VisionTransformer = build_model_with_cfg(
        VisionTransformer,
        name,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        **{**size, **kwargs},
    )
    return model


def clip_tower() -> tuple[CLIPVisionModelWithProjection, dict[str, Tensor]]:
    """A CLIP of the size of `tiny_clip` as transformers computes it, and its weights under OpenAI's names."""
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=24,
        hidden_act="quick_gelu",
    )
    tower = CLIPVisionModelWithProjection(config)
    tower.load_state_dict(random_state({name: tuple(v.shape) for name, v in tower.state_dict().items()}))
    state = {name.removeprefix("vision_model."): value for name, value in tower.state_dict().items()}
    given = {
        "class_embedding": state["embeddings.class_embedding"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "conv1.weight": state["embeddings.patch_embedding.weight"],
        "proj": state["visual_projection.weight"].T,
    }
    pairs = {"pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        pairs[f"{theirs}.self_attn.out_proj"] = f"{ours}.attn.out_proj"
        pairs |= {f"{theirs}.layer_norm{n}": f"{ours}.ln_{n}" for n in (1, 2)}
        pairs |= {f"{theirs}.mlp.fc1": f"{ours}.mlp.c_fc", f"{theirs}.mlp.fc2": f"{ours}.mlp.c_proj"}
        for part in ("weight", "bias"):
            three = [state[f"{theirs}.self_attn.{name}_proj.{part}"] for name in "qkv"]
            given[f"{ours}.attn.in_proj_{part}"] = torch.cat(three)
    for theirs, ours in pairs.items():
        given |= {f"{ours}.{part}": state[f"{theirs}.{part}"] for part in ("weight", "bias")}
    return tower.eval(), {f"visual.{name}": value.contiguous() for name, value in given.items()}


def started(folder: Path, spec: Spec, state: dict[str, Tensor]) -> Any:
    """The detector of `spec` when a file with this state is what it starts from."""
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "given.safetensors")
    spec = spec.model_copy(update={"weights": str(folder / "given.safetensors")})
    write_start(spec, folder / "start.safetensors", "detectors.mine")
    return build(spec, 0, "detectors.mine", start=folder / "start.safetensors")


def seen_by(detector: Any) -> tuple[Tensor, Tensor]:
    """Pictures (3, 3, S, S) uint8, and what a detector's network gets of them."""
    drawn = pictures(detector.net.backbone.patch_embed.img_size[0])
    return drawn, (drawn / 255 - detector.mean) / detector.std
