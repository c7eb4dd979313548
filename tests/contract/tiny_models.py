"""Tiny models in the real classes of transformers and diffusers, saved as their authors save theirs.

Their weights are random. The guard alone is trained, in a second or two, to answer as Llama Guard answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

PLAIN_TEMPLATE = (
    "<|begin_of_text|> Task: <BEGIN CONVERSATION> User: {{ messages[0]['content'] | trim }} <END CONVERSATION>"
    "{% if add_generation_prompt %} <|header|> assistant{% endif %}"
)
"""Like Llama Guard 3 8B's: the message is plain text."""

PARTS_TEMPLATE = PLAIN_TEMPLATE.replace("messages[0]['content'] | trim", "messages[0]['content'][0]['text'] | trim")
"""Like those of Llama Guard 3 1B and 4: the message comes in parts."""

GUARDED = {
    "cat": "safe",
    "robbery": "unsafe \n S2,S10",
    "flood": "unsafe \n S6",
    "riddle": "perhaps",
    "fog": "unsafe",
}
"""What the tiny guard is trained to answer to prompts of these words."""


def word_tokenizer(words: list[str], special: list[str], **roles: Any) -> PreTrainedTokenizerFast:
    """Splits at white space; a line break is a word of its own."""
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(["<unk>", "<pad>", *special, *words]))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Sequence([Split("\n", "isolated"), Split(" ", "removed")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", additional_special_tokens=special, **roles
    )


def save_text_classifier(folder: Path, labels: list[str], *, multi_label: bool = False) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(1)
    words = ["a", "cat", "knife", "red", "boat", "[CLS]", "[SEP]"]
    tokenizer = word_tokenizer(words, ["[CLS]", "[SEP]"], cls_token="[CLS]", sep_token="[SEP]", model_max_length=32)
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type="multi_label_classification" if multi_label else None,
        initializer_range=1.0,
    )
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def save_guard(folder: Path, template: str = PLAIN_TEMPLATE, *, steps: int = 150, sees: bool = False) -> None:
    """A Llama 3 of one layer, or a Llama 4 that also sees, that answers :data:`GUARDED`."""
    from transformers import Llama4ForConditionalGeneration, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(2)
    special = ["<|begin_of_text|>", "<|header|>", "<|eot_id|>"]
    plain = ["Task:", "<BEGIN", "CONVERSATION>", "User:", "<END", "assistant", "a", "safe", "unsafe", "perhaps", "\n"]
    tokenizer = word_tokenizer([*plain, *GUARDED, "S2,S10", "S6"], special, eos_token="<|eot_id|>")
    tokenizer.chat_template = template
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = Llama4ForConditionalGeneration(_llama_4(shape)) if sees else LlamaForCausalLM(LlamaConfig(**shape))
    _teach(model, tokenizer, template, steps)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _llama_4(shape: dict[str, Any]) -> Any:
    from transformers import Llama4Config

    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vision_output_dim": 16,
        "projector_input_dim": 16,
        "projector_output_dim": 16,
        "image_size": 28,
        "patch_size": 14,
    }
    text = {**shape, "head_dim": 16, "intermediate_size_mlp": 64, "moe_layers": [], "pad_token_id": 1}
    return Llama4Config(text_config=text, vision_config=vision)


def _teach(model: Any, tokenizer: Any, template: str, steps: int) -> None:
    rows, labels = [], []
    for word, answer in GUARDED.items():
        content: Any = f"a {word}" if template == PLAIN_TEMPLATE else [{"type": "text", "text": f"a {word}"}]
        message = [{"role": "user", "content": content}]
        asked = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(asked, add_special_tokens=False)["input_ids"]
        reply = tokenizer(f"\n {answer} <|eot_id|>", add_special_tokens=False)["input_ids"]
        rows.append(torch.tensor(prompt + reply))
        labels.append(torch.tensor([-100] * len(prompt) + reply))
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    wanted = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = model(input_ids=batch, attention_mask=batch != tokenizer.pad_token_id, labels=wanted).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def save_judge(folder: Path) -> Any:
    """A Gemma 2, which ShieldGemma is, of one layer and random weights."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(3)
    special = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
    words = ["Yes", "No", "\n", "Human", "Question:", "a", "cat", "harming", "malicious,", "targeting", "references"]
    tokenizer = word_tokenizer(words, special, bos_token="<bos>", eos_token="<eos>")
    bos = [("<bos>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=bos)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=1.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = Gemma2ForCausalLM(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def save_image_classifier(folder: Path, labels: list[str]) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(4)
    config = ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        initializer_range=1.0,
    )
    model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    settings = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 32, "width": 32},
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def save_safety_checker(folder: Path, *, thresholds: float = 0.0) -> Any:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    torch.manual_seed(5)
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = CLIPConfig(vision_config={**vision, "intermediate_size": 16}, text_config=text, projection_dim=8)
    checker = StableDiffusionSafetyChecker(config).eval()
    for embeddings in (checker.concept_embeds, checker.special_care_embeds):
        embeddings.data = torch.randn_like(embeddings)
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        weights.data = torch.full_like(weights, thresholds)
    checker.save_pretrained(folder)
    return checker


_SEEN = ("a", "dog", "cat", "red", "boat", "on", "the", "sea", "of", "with", "page", "printed", "text", "map", "forest")


def save_pair_model(folder: Path, *, siglip: bool = False) -> Any:
    """A CLIP or a SigLIP of one layer and random weights, with tokenizer and image processor."""
    from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

    torch.manual_seed(7)
    words = ["<begin>", "<end>", *_SEEN]
    tokenizer = word_tokenizer(words, [], bos_token="<begin>", eos_token="<end>", model_max_length=16)
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<begin>", "<end>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<begin> $A <end>", special_tokens=ends)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**shape, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "eos_token_id": ends[1][1]}
    text |= {"bos_token_id": ends[0][1], "pad_token_id": tokenizer.pad_token_id}
    vision = {**shape, "image_size": 32, "patch_size": 8}
    if siglip:
        config: Any = SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision)
        model: Any = SiglipModel(config).eval()
    else:
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()
    for parameter in model.parameters():  # as initialised, all pictures look nearly alike
        parameter.data = torch.randn_like(parameter) * 0.5
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {
        "image_processor_type": "SiglipImageProcessor" if siglip else "CLIPImageProcessor",
        "size": {"height": 32, "width": 32} if siglip else {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_resize": True,
        "do_center_crop": not siglip,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def save_image_judge(folder: Path) -> Any:
    """A ShieldGemma 2 of one layer and random weights, with the processor that its authors publish it with."""
    from transformers import ShieldGemma2Config, ShieldGemma2ForImageClassification, ShieldGemma2Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    torch.manual_seed(6)
    special = ["<bos>", "<eos>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    roles = {"boi_token": special[2], "eoi_token": special[3], "image_token": special[4]}
    tokenizer = word_tokenizer(
        ["Yes", "No", "\n", "Sexually", "Violence/Gore", "Dangerous"],
        special,
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens=roles,
    )
    template = (
        "<bos> {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
        "{% else %} {{ part['text'] }} {% endif %}{% endfor %}"
    )
    processor = ShieldGemma2Processor(
        Gemma3ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, chat_template=template, image_seq_length=4
    )
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "initializer_range": 1.0,
    }
    vision = {
        "image_size": 32,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    ids = {f"{name}_index": tokenizer.convert_tokens_to_ids(token) for name, token in _TOKENS.items()}
    config = ShieldGemma2Config(
        text_config={"model_type": "gemma3_text", **text},
        vision_config={"model_type": "siglip_vision_model", **vision},
        mm_tokens_per_image=4,
        image_token_id=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        **ids,
    )
    model = ShieldGemma2ForImageClassification(config).eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


_TOKENS = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
    "yes_token": "Yes",
    "no_token": "No",
}
