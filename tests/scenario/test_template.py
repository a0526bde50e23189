from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loadgen.errors import ConfigError
from loadgen.scenario.template import ClientTemplate, ConnectedTemplate, IdentityTemplate, Template

CLIENT: TypeAdapter[Template] = TypeAdapter(ClientTemplate)
CONNECTED: TypeAdapter[Template] = TypeAdapter(ConnectedTemplate)
IDENTITY: TypeAdapter[Template] = TypeAdapter(IdentityTemplate)


def test_renders_fields_numbers_and_braces() -> None:
    template = Template("{{{cn}}}-{index:05d}-{san.dns.1}")
    assert template.render({"cn": "a", "index": 7, "san.dns.1": "b"}) == "{a}-00007-b"
    assert template.fields == {"cn", "index", "san.dns.1"}


def test_values_are_not_rendered_again() -> None:
    assert Template("{cn}").render({"cn": "{index}", "index": 1}) == "{index}"


@given(st.text())
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    template = Template(text.replace("{", "{{").replace("}", "}}"))
    assert template.render({}) == text
    assert template.fields == frozenset()


@pytest.mark.parametrize("text", ["{", "}", "a{b", "{}", "{cn!r}x{", "{index:>5}", "{index:1000d}", "{a{b}}"])
def test_malformed(text: str) -> None:
    with pytest.raises(ValueError, match=r"lone|empty|format"):
        Template(text)


def test_attributes_are_no_fields() -> None:
    # str.format would reach into objects; a template from a file must not.
    with pytest.raises(ValidationError, match="unknown field"):
        CLIENT.validate_python("{cn.__class__}")


def test_missing_value_names_the_field() -> None:
    with pytest.raises(ConfigError, match=r"\{san\.dns\}"):
        Template("{san.dns}").render({"cn": "a"})


def test_number_format_of_text() -> None:
    with pytest.raises(ConfigError, match="formats as a number"):
        Template("{cn:05d}").render({"cn": "a"})
    with pytest.raises(ValidationError, match="formats as a number"):
        CLIENT.validate_python("{cn:05d}")


def test_fields_by_place() -> None:
    assert CLIENT.validate_python("{index}{group}{cn}{serial}{o}{san.uri}{san.email.12}")
    assert CONNECTED.validate_python("{client_id}")
    assert IDENTITY.validate_python("{index}{set}")
    for adapter, wrong in ((CLIENT, "{client_id}"), (IDENTITY, "{cn}"), (CONNECTED, "{san.other}")):
        with pytest.raises(ValidationError, match="unknown field"):
            adapter.validate_python(wrong)


def test_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(ValidationError) as caught:
        CLIENT.validate_python("{indx}")
    assert caught.value.errors()[0]["ctx"]["mend"] == 'did you mean "index"?'


def test_unquoted_braces_in_yaml_are_explained() -> None:
    with pytest.raises(ValidationError) as caught:
        CLIENT.validate_python({"cn": None})
    assert caught.value.errors()[0]["ctx"]["mend"] == 'write "{cn}"'


def test_equal_by_text_and_travels() -> None:
    template = Template("{cn}")
    assert template == Template("{cn}")
    assert template != Template("{o}")
    assert len({template, Template("{cn}")}) == 1
    assert pickle.loads(pickle.dumps(template)).render({"cn": "a"}) == "a"
    assert template.literal("?") == "?"
