"""Chat messages as prompts: templates of several makes, thinking, parts, and what is said of bad messages."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from itwidgets import Engine
from tests.models import byte_level_tokenizer, sentencepiece_tokenizer, tiny_model

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Thinking stands before the answer; earlier thinking is left out; the switch closes an empty block.
THINKING = """
{%- set ns = namespace(last_user=-1) %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{% set ns.last_user = loop.index0 %}{% endif %}
{%- endfor %}
{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\n' }}
    {%- if m.role == 'assistant' and loop.index0 > ns.last_user %}
        {{- '<think>\n' + (m.reasoning_content or '') }}
        {%- if m.content is defined %}{{- '\n</think>\n\n' }}{% endif %}
    {%- endif %}
    {{- (m.content or '') + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\n\n</think>\n\n' }}{% endif %}
{%- endif %}
"""
# Writes BOS, trims, and reads a content as a text or as parts.
HEADERS = """
{{- bos_token }}
{%- for m in messages %}
    {{- '<h>' + m['role'] + '</h>\n\n' }}
    {%- if m['content'] is string %}{{- m['content'] | trim }}
    {%- else %}{% for part in m['content'] %}{{- part['text'] | trim }}{% endfor %}
    {%- endif %}
    {{- '<eot>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<h>assistant</h>\n\n' }}{% endif %}
"""
STRICT = """
{%- for m in messages %}
    {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate,\n user first') }}
    {%- endif %}
    {{- '[' + m.role + ']' + m.content }}
{%- endfor %}
"""
SYSTEM = {"role": "system", "content": "Be short."}
USER = {"role": "user", "content": "The capital?"}
BEGUN = {"role": "assistant", "content": "It is"}
THOUGHT = {"role": "assistant", "reasoning_content": "France, so"}
ANSWERED = {**THOUGHT, "content": "It is"}


def _engine(template: str, *, bos: bool = False) -> Engine:
    tokenizer = copy.copy(sentencepiece_tokenizer() if bos else byte_level_tokenizer())
    tokenizer.chat_template = template
    return Engine(tiny_model(), tokenizer)


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    return {
        "chatml": _engine(CHATML),
        "thinking": _engine(THINKING),
        "headers": _engine(HEADERS, bos=True),
        "strict": _engine(STRICT),
    }


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "question": [USER],
    "system": [SYSTEM, USER],
    "turns": [USER, ANSWERED, USER],
    "begun": [SYSTEM, USER, BEGUN],
    "begun with thinking": [USER, ANSWERED],
    "begun after turns": [USER, ANSWERED, USER, BEGUN],
}


@pytest.mark.parametrize("name", ["chatml", "thinking", "headers"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_messages_give_the_tokens_that_the_template_gives(
    engines: dict[str, Engine], name: str, conversation: str
) -> None:
    messages = CONVERSATIONS[conversation]
    begun = conversation.startswith("begun")
    expected = engines[name].tokenizer.apply_chat_template(
        messages, add_generation_prompt=not begun, continue_final_message=begun, return_dict=False
    )
    assert engines[name].session(messages).token_ids == expected


@pytest.mark.parametrize("options", [{}, {"enable_thinking": True}, {"enable_thinking": False}], ids=str)
def test_the_template_reads_its_variables(engines: dict[str, Engine], options: dict[str, Any]) -> None:
    engine = engines["thinking"]
    session = engine.session([USER], template=options)
    expected = engine.tokenizer.apply_chat_template(
        [USER], add_generation_prompt=True, return_dict=False, **options
    )
    assert session.token_ids == expected
    assert ("</think>" in session.text) is (options == {"enable_thinking": False})


def test_an_answer_is_continued_behind_its_thinking(engines: dict[str, Engine]) -> None:
    session = engines["thinking"].session([USER, ANSWERED])
    assert session.text.endswith("<|im_start|>assistant\n<think>\nFrance, so\n</think>\n\nIt is")


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize("content", [{}, {"content": None}], ids=str)
def test_thinking_is_continued_where_there_is_no_answer_yet(
    engines: dict[str, Engine], key: str, content: dict[str, Any]
) -> None:
    thought = {"role": "assistant", key: "France, so", **content}
    session = engines["thinking"].session([USER, thought])
    assert session.text.endswith("<|im_start|>assistant\n<think>\nFrance, so")


def test_thinking_is_done_where_the_answer_is_empty(engines: dict[str, Engine]) -> None:
    session = engines["thinking"].session([USER, {**THOUGHT, "content": ""}])
    assert session.text.endswith("<think>\nFrance, so\n</think>\n\n")


def test_a_continued_message_goes_on_in_the_session(engines: dict[str, Engine]) -> None:
    session = engines["thinking"].session([USER, THOUGHT])
    session.force(0, " Paris\n</think>\n\nParis")
    assert session.text.endswith("<think>\nFrance, so Paris\n</think>\n\nParis")


def test_whether_a_message_is_continued_can_be_said(engines: dict[str, Engine]) -> None:
    closed = engines["chatml"].session([USER, BEGUN], template={"continue_final_message": False})
    assert closed.text.endswith("It is<|im_end|>\n<|im_start|>assistant\n")
    asked = engines["chatml"].session([USER], template={"continue_final_message": True})
    assert asked.text == "<|im_start|>user\nThe capital?"
    bare = engines["chatml"].session([USER], template={"add_generation_prompt": False})
    assert bare.text == "<|im_start|>user\nThe capital?<|im_end|>\n"


def test_there_is_one_bos_and_no_more(engines: dict[str, Engine]) -> None:
    engine = engines["headers"]
    ids = engine.session([USER]).token_ids
    assert ids.count(engine.tokenizer.bos_token_id) == 1
    assert ids[0] == engine.tokenizer.bos_token_id


PARTS = [{"type": "text", "text": "The "}, {"type": "text", "text": "capital?"}]


def test_parts_are_given_to_a_template_that_reads_them(engines: dict[str, Engine]) -> None:
    session = engines["headers"].session([{"role": "user", "content": PARTS}])
    # This template trims each part by itself.
    assert "Thecapital?<eot>" in session.text


@pytest.mark.parametrize("name", ["chatml", "thinking", "strict"])
def test_parts_are_joined_where_the_template_knows_none(engines: dict[str, Engine], name: str) -> None:
    messages = [{"role": "user", "content": PARTS}]
    assert engines[name].session(messages).token_ids == engines[name].session([USER]).token_ids


def test_parts_are_joined_where_the_template_would_print_the_list(shared_engine: Any) -> None:
    engine = shared_engine("llama")
    session = engine.session([{"role": "user", "content": PARTS}])
    assert session.text == "<|user|>The capital?<|end|><|model|>"


@pytest.mark.parametrize("name", ["chatml", "headers"])
def test_the_last_part_is_continued(engines: dict[str, Engine], name: str) -> None:
    begun: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": "It is"}]}
    session = engines[name].session([USER, begun])
    assert session.token_ids == engines[name].session([USER, BEGUN]).token_ids


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"content": "a"}, "message 1 is {'content': 'a'}, but must have a role"),
        ({"role": None, "content": "a"}, "must have a role"),
        ({"role": "user"}, "message 1 has the content None, but must have a text or a list of text parts"),
        ({"role": "user", "content": 5}, "message 1 has the content 5"),
        ({"role": "user", "content": b"a"}, "message 1 has the content b'a'"),
        ({"role": "user", "content": ["a"]}, "message 1 has the part 'a', but only text is read"),
        ({"role": "user", "content": [{"type": "image"}]}, "has the part {'type': 'image'}, but only text"),
        (
            {"role": "user", "content": [{"type": "image", "text": "a"}]},
            "has the part {'type': 'image', 'text': 'a'}, but only text",
        ),
    ],
    ids=str,
)
def test_a_message_that_is_none_is_named(engines: dict[str, Engine], message: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        engines["chatml"].session([USER, message])


def test_what_a_template_refuses_is_one_sentence(engines: dict[str, Engine]) -> None:
    sentence = "the model's chat template refuses the messages: roles must alternate, user first"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        engines["strict"].session([SYSTEM, USER])


@pytest.mark.parametrize("template", ["{{ nothing.at.all }}", "{% if %}", "{{ 1 // 0 }}", "{{ 'a' + 1 }}"])
def test_a_template_that_fails_is_one_sentence(template: str) -> None:
    with pytest.raises(ValueError, match=r"^the model's chat template refuses the messages: .+$") as caught:
        _engine(template).session([USER])
    assert "\n" not in str(caught.value)


def test_a_last_message_that_the_template_drops_cannot_be_continued() -> None:
    engine = _engine("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")
    with pytest.raises(
        ValueError, match="chat template leaves the last message out, so it cannot be continued"
    ):
        engine.session([USER, BEGUN])


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (
            {"enable_thinkng": False},
            "template sets 'enable_thinkng', but this model's chat template reads no",
        ),
        ({"tools": [{"name": "f"}]}, "template sets 'tools', but this model's chat template reads no such"),
        ({"tokenize": False}, "template sets 'tokenize', which no chat template reads"),
        ({"max_length": 5}, "template sets 'max_length', which no chat template reads"),
    ],
    ids=str,
)
def test_a_variable_that_nobody_reads_is_named(
    engines: dict[str, Engine], template: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        engines["thinking"].session([USER], template=template)


@pytest.mark.parametrize("prompt", ["The capital", [5, 6]], ids=str)
def test_variables_are_for_messages_alone(engines: dict[str, Engine], prompt: Any) -> None:
    with pytest.raises(ValueError, match="but the prompt is no list of messages: leave it out"):
        engines["thinking"].session(prompt, template={"enable_thinking": False})


def test_variables_have_names(engines: dict[str, Engine]) -> None:
    with pytest.raises(TypeError, match="template is 'x', but must be the chat template's variables"):
        engines["thinking"].session([USER], template="x")  # type: ignore[arg-type]


def test_messages_stay_as_they_were_given(engines: dict[str, Engine]) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": PARTS}, BEGUN]
    before = copy.deepcopy(messages)
    engines["chatml"].session(messages)
    assert messages == before


def test_the_embedded_models_own_template(smollm: Engine) -> None:
    for messages in CONVERSATIONS.values():
        begun = messages[-1]["role"] == "assistant"
        expected = smollm.tokenizer.apply_chat_template(
            messages, add_generation_prompt=not begun, continue_final_message=begun, return_dict=False
        )
        assert smollm.session(messages).token_ids == expected
