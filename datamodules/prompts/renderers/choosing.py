"""The one place that tells how models are spoken to, by the type that their configuration names."""

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from datamodules.prompts.renderers.base import Dialect
from datamodules.prompts.renderers.features import Processor
from datamodules.prompts.renderers.qwen2_5_omni import Qwen25OmniDialect
from datamodules.prompts.renderers.qwen2_5_vl import Qwen25VLDialect
from datamodules.prompts.renderers.qwen2_audio import Qwen2AudioDialect
from datamodules.prompts.renderers.qwen3_omni import Qwen3OmniDialect
from datamodules.prompts.renderers.qwen3_vl import Qwen3VLDialect
from datamodules.prompts.renderers.text import TextDialect


def dialect_of(
    path: str, config: PretrainedConfig, processor: Processor, *, audio_in_video: bool = False
) -> Dialect:
    """Choose how a model is shown media.

    Args:
        audio_in_video: the sound of a video stands between its frames; models of text, which read
            and judge beside one that is shown so, are shown neither.
    """
    whole = getattr(config, "thinker_config", config)  # full Omni models nest the thinker's
    match config.model_type:
        case "qwen2_5_omni" | "qwen2_5_omni_thinker":
            return Qwen25OmniDialect(path, processor, rope=whole, audio_in_video=audio_in_video)
        case "qwen3_omni_moe" | "qwen3_omni_moe_thinker":
            return Qwen3OmniDialect(path, processor, rope=whole, audio_in_video=audio_in_video)
        case _ if isinstance(processor, PreTrainedTokenizerBase):
            return TextDialect(path, processor)
        case other if audio_in_video:
            raise ValueError(
                f"data.media.audio_in_video=true, but {path} is of type {other}: only Qwen's "
                "omni-modal models are shown the sound of a video between its frames. Leave the "
                "setting out, or choose one of those."
            )
        case "qwen2_5_vl":
            return Qwen25VLDialect(path, processor, rope=config.vision_config)
        case "qwen2_audio":
            return Qwen2AudioDialect(path, processor)
        case "qwen3_vl":
            return Qwen3VLDialect(path, processor)
        case other:
            raise ValueError(
                f"{path} is of type {other}, which nobody here knows how to show media: choose a "
                "Qwen2.5-Omni, Qwen3-Omni, Qwen2-Audio, Qwen2.5-VL or Qwen3-VL, or a language "
                "model of text."
            )
