"""The processors of transformers, with arguments that act on the tiny model's text."""

from __future__ import annotations

from typing import Any

import torch
from transformers.generation import logits_process

from tests.models import PROMPT, VOCABULARY_SIZE, byte_level_tokenizer

TOKENS = 10
# More probable than others in the tiny model, so that what is done to them shows.
IDS = [187, 239, 41, 300]
PROMPT_IDS: list[int] = byte_level_tokenizer()(PROMPT).input_ids
LENGTH = len(PROMPT_IDS)
END = byte_level_tokenizer().eos_token_id
SYNTH_ID = {
    "ngram_len": 3,
    "keys": [654, 400, 836],
    "sampling_table_size": 2**10,
    "sampling_table_seed": 0,
    "context_history_size": 16,
}

NAMED: dict[str, list[dict[str, Any]]] = {
    "MinLengthLogitsProcessor": [{"min_length": LENGTH + 4, "eos_token_id": IDS}],
    "MinNewTokensLengthLogitsProcessor": [
        {"prompt_length_to_skip": LENGTH, "min_new_tokens": 4, "eos_token_id": IDS}
    ],
    "TemperatureLogitsWarper": [{"temperature": 0.6}],
    "RepetitionPenaltyLogitsProcessor": [
        {"penalty": 1.8},
        {"penalty": 1.8, "prompt_ignore_length": LENGTH},
    ],
    "EncoderRepetitionPenaltyLogitsProcessor": [{"penalty": 1.8, "encoder_input_ids": [PROMPT_IDS]}],
    "TopPLogitsWarper": [{"top_p": 0.7}],
    "TopKLogitsWarper": [{"top_k": 5}],
    "TopHLogitsWarper": [{"top_h": 0.6}],
    "MinPLogitsWarper": [{"min_p": 0.1}],
    "TypicalLogitsWarper": [{"mass": 0.6}],
    "EpsilonLogitsWarper": [{"epsilon": 0.01}],
    "EtaLogitsWarper": [{"epsilon": 0.01}],
    "NoRepeatNGramLogitsProcessor": [{"ngram_size": 1}, {"ngram_size": 2}],
    "EncoderNoRepeatNGramLogitsProcessor": [{"encoder_ngram_size": 1, "encoder_input_ids": [PROMPT_IDS]}],
    "SequenceBiasLogitsProcessor": [{"sequence_bias": [[[187], 3.0], [[187, 239], -2.5]]}],
    "NoBadWordsLogitsProcessor": [{"bad_words_ids": [[187], [41, 300]], "eos_token_id": 0}],
    "ForcedBOSTokenLogitsProcessor": [{"bos_token_id": 7}],
    "ForcedEOSTokenLogitsProcessor": [{"max_length": LENGTH + TOKENS, "eos_token_id": 3}],
    "InfNanRemoveLogitsProcessor": [{}],
    "ExponentialDecayLengthPenalty": [
        {"exponential_decay_length_penalty": [2, 1.5], "eos_token_id": IDS, "input_ids_seq_length": LENGTH}
    ],
    "LogitNormalization": [{}],
    "SuppressTokensAtBeginLogitsProcessor": [{"begin_suppress_tokens": IDS, "begin_index": LENGTH}],
    "SuppressTokensLogitsProcessor": [{"suppress_tokens": IDS}],
    "WatermarkLogitsProcessor": [
        {"vocab_size": VOCABULARY_SIZE},
        {"vocab_size": VOCABULARY_SIZE, "seeding_scheme": "selfhash", "context_width": 3},
    ],
    "SynthIDTextWatermarkLogitsProcessor": [SYNTH_ID, SYNTH_ID | {"skip_first_ngram_calls": True}],
}
"""Classes that JSON arguments make, with arguments that act on the tiny model's text."""

GIVEN = ("PrefixConstrainedLogitsProcessor", "UnbatchedClassifierFreeGuidanceLogitsProcessor")
"""Classes that take code or a model, and so are given themselves."""

NOT_FOR_TEXT = {
    "WhisperTimeStampLogitsProcessor": "time stamps of speech",
    "WhisperNoSpeechDetection": "silence in speech",
    "ClassifierFreeGuidanceLogitsProcessor": "rows of scores twice as many as rows of ids, as in MusicGen",
    "AlternatingCodebooksLogitsProcessor": "Bark's two codebooks",
    "BarkEosPrioritizerLogitsProcessor": "Bark's codebooks",
    "DiaClassifierFreeGuidanceLogitsProcessor": "Dia's channels, rows of scores twice as many as rows of ids",
    "DiaEOSChannelFilterLogitsProcessor": "Dia's channels",
    "DiaEOSDelayPatternLogitsProcessor": "Dia's channels",
}
"""Classes that are for other models than decoders of text, and what they are for."""

CASES = [(name, arguments) for name, variants in NAMED.items() for arguments in variants]
CASE_IDS = [f"{name}-{index}" for name, variants in NAMED.items() for index in range(len(variants))]


def prompt_for(name: str) -> list[int]:
    """Prompt on which a class acts: that which forces the first new token does so behind one token alone."""
    return PROMPT_IDS[:1] if name == "ForcedBOSTokenLogitsProcessor" else PROMPT_IDS


def made(name: str, arguments: dict[str, Any]) -> Any:
    """Make a processor of its class and arguments, without this package."""
    named = getattr(logits_process, name)
    tensors = {"encoder_input_ids": torch.tensor(arguments.get("encoder_input_ids", []))}
    device = {"device": "cpu"} if "Watermark" in name else {}
    return named(**arguments | {key: tensors[key] for key in tensors if key in arguments} | device)
