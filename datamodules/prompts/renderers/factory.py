"""Build the renderer of a model by the type that its configuration names; nowhere else is it
asked."""

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from datamodules.prompts.renderers.base import Renderer
from datamodules.prompts.renderers.features import Processor
from datamodules.prompts.renderers.qwen2_5_omni import Qwen25OmniRenderer
from datamodules.prompts.renderers.qwen2_5_vl import Qwen25VLRenderer
from datamodules.prompts.renderers.qwen2_audio import Qwen2AudioRenderer
from datamodules.prompts.renderers.qwen3_omni import Qwen3OmniRenderer
from datamodules.prompts.renderers.qwen3_vl import Qwen3VLRenderer
from datamodules.prompts.renderers.text import TextRenderer


def build_renderer(
    path: str, config: PretrainedConfig, processor: Processor, *, audio_in_video: bool
) -> Renderer:
    """Build the renderer of a model.

    Args:
        audio_in_video: put the audio of a video between its frames; text-only models, which may
            read or judge beside a model that is shown it so, ignore it.
    """
    whole = getattr(config, "thinker_config", config)  # full Omni models nest the thinker's
    match config.model_type:
        case "qwen2_5_omni" | "qwen2_5_omni_thinker":
            return Qwen25OmniRenderer(path, processor, rope=whole, audio_in_video=audio_in_video)
        case "qwen3_omni_moe" | "qwen3_omni_moe_thinker":
            return Qwen3OmniRenderer(path, processor, rope=whole, audio_in_video=audio_in_video)
        case _ if isinstance(processor, PreTrainedTokenizerBase):
            return TextRenderer(path, processor)
        case other if audio_in_video:
            raise ValueError(
                f"data.media.audio_in_video=true, but {path} is of type {other}: only Qwen's "
                "omni-modal models are shown the sound of a video between its frames. Leave the "
                "setting out, or choose one of those."
            )
        case "qwen2_5_vl":
            return Qwen25VLRenderer(path, processor, rope=config.vision_config)
        case "qwen2_audio":
            return Qwen2AudioRenderer(path, processor)
        case "qwen3_vl":
            return Qwen3VLRenderer(path, processor)
        case other:
            raise ValueError(
                f"{path} is of type {other}, which nobody here knows how to show media: choose a "
                "Qwen2.5-Omni, Qwen3-Omni, Qwen2-Audio, Qwen2.5-VL or Qwen3-VL, or a language "
                "model of text."
            )
