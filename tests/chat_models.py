"""Small models whose tokenizers and chat templates treat the BOS in every way that there is."""

from __future__ import annotations

from pathlib import Path

CHAT = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


def build(folder: Path, template: str, *, adds_bos: bool) -> Path:
    """A small Llama whose byte-level tokenizer puts `<s>` in front of text, or does not."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    symbols = ["<s>", "</s>", *bytes_to_unicode().values()]
    bpe = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(symbols)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    if adds_bos:
        bpe.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(symbols), hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def llama_with_bos(folder: Path) -> Path:
    """One whose tokenizer adds a BOS to text, and whose template writes none."""
    return build(folder, CHAT, adds_bos=True)
