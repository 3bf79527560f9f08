"""Diffusers pipelines of every family in their real layout, a few kilobytes each, with random weights."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LDMPipeline,
    LDMTextToImagePipeline,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

LETTERS = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
WORDS = [*LETTERS, "<|startoftext|>", "<|endoftext|>"]
PIECES = [
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", -9.0),
    ("▁", -2.0),
    *((c, -3.0) for c in string.ascii_lowercase),
]


def clip_tokenizer(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def clip(kind: Any = CLIPTextModel) -> Any:
    return kind(
        CLIPTextConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            projection_dim=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=len(WORDS) - 2,
            eos_token_id=len(WORDS) - 1,
        )
    )


def t5() -> Any:
    return T5EncoderModel(
        T5Config(vocab_size=len(PIECES), d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


def t5_tokenizer() -> Any:
    return T5Tokenizer(vocab=PIECES, extra_ids=0, model_max_length=16)


def vae(**changes: Any) -> Any:
    return AutoencoderKL(
        **{"block_out_channels": (8,), "latent_channels": 4, "norm_num_groups": 4, **changes}
    )


def conditional_unet(**changes: Any) -> Any:
    return UNet2DConditionModel(
        **{
            "sample_size": 16,
            "in_channels": 4,
            "out_channels": 4,
            "layers_per_block": 1,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "norm_num_groups": 4,
            "attention_head_dim": 4,
            "cross_attention_dim": 16,
            **changes,
        }
    )


def unet(channels: int = 3, **changes: Any) -> Any:
    return UNet2DModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        **changes,
    )


def sd1(folder: Path, **changes: Any) -> Any:
    parts = {
        "vae": vae(),
        "text_encoder": clip(),
        "tokenizer": clip_tokenizer(folder),
        "unet": conditional_unet(),
        "scheduler": PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    return StableDiffusionPipeline(**{**parts, **changes})


def sd21(folder: Path) -> Any:
    velocity = DDIMScheduler(prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False)
    return sd1(folder, scheduler=velocity, unet=conditional_unet(use_linear_projection=True))


def sdxl(folder: Path) -> Any:
    return StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(folder / "1"),
        tokenizer_2=clip_tokenizer(folder / "2"),
        unet=conditional_unet(
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=16 + 6 * 4,
            cross_attention_dim=32,
        ),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def sd3(folder: Path) -> Any:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=4,
            pos_embed_max_size=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(folder / "1"),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer_2=clip_tokenizer(folder / "2"),
        text_encoder_3=t5(),
        tokenizer_3=t5_tokenizer(),
    )


def flux(folder: Path) -> Any:
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False, latent_channels=1,
                block_out_channels=(4, 8), down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2),
        text_encoder=clip(),
        tokenizer=clip_tokenizer(folder),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
    )  # fmt: skip


def pixart(folder: Path) -> Any:
    return PixArtAlphaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=vae(),
        transformer=PixArtTransformer2DModel(
            sample_size=8,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=16,
            out_channels=8,
            use_additional_conditions=False,
            norm_num_groups=4,
        ),
        scheduler=DPMSolverMultistepScheduler(),
    )


def dit(folder: Path) -> Any:
    transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=4, num_layers=1,
        norm_num_groups=4, sample_size=8, patch_size=2, num_embeds_ada_norm=1000,
    )  # fmt: skip
    return DiTPipeline(transformer, vae(), DDIMScheduler())


def ldm(folder: Path) -> Any:
    vq = VQModel(block_out_channels=(8,), norm_num_groups=4, latent_channels=3, num_vq_embeddings=16)
    return LDMPipeline(vq, unet(), DDIMScheduler())


def ldm_text(folder: Path) -> Any:
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel

    bert = LDMBertModel(
        LDMBertConfig(
            vocab_size=len(WORDS), d_model=16, encoder_layers=1, encoder_ffn_dim=16,
            encoder_attention_heads=2, head_dim=8, max_position_embeddings=77,
        )
    )  # fmt: skip
    vq = VQModel(block_out_channels=(8,), norm_num_groups=4, latent_channels=4, num_vq_embeddings=16)
    return LDMTextToImagePipeline(vq, bert, clip_tokenizer(folder), conditional_unet(), DDIMScheduler())


def ddpm(folder: Path) -> Any:
    return DDPMPipeline(unet(), DDPMScheduler())


def consistency(folder: Path) -> Any:
    model = unet(num_class_embeds=10)
    return ConsistencyModelPipeline(model, CMStochasticIterativeScheduler())


MAKERS: dict[str, Callable[[Path], Any]] = {
    make.__name__: make
    for make in (sd1, sd21, sdxl, sd3, flux, pixart, dit, ldm, ldm_text, ddpm, consistency)
}


def made(name: str, folder: Path) -> Path:
    """Save the pipeline `name` in `folder`; its weights are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MAKERS[name](folder / "parts").save_pretrained(folder / name)
    return folder / name
