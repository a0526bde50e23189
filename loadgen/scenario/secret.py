"""References to passwords: `{env: NAME}`, `{file: path}` or `{prompt: text}`."""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
from pathlib import Path

from pydantic import model_validator

from loadgen.errors import ConfigError
from loadgen.scenario.base import Strict, Text, malformed


class Secret(Strict):
    """A reference to a password: `{env: NAME}`, `{file: path}` or `{prompt: text}`; never the password."""

    env: Text | None = None
    """Name of the environment variable that holds it."""
    file: Text | None = None
    """File that holds it; one newline at the end is not part of it."""
    prompt: Text | None = None
    """Ask for it on the terminal, with this text, once."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_literal(cls, value: object) -> object:
        if isinstance(value, str | int | float):
            # The value is not repeated in the message: it may well be a real password.
            raise malformed(
                "a password does not belong in the scenario file",
                "write {env: NAME_OF_A_VARIABLE} or {file: path}",
            )
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Secret:
        if sum(each is not None for each in (self.env, self.file, self.prompt)) != 1:
            raise malformed("needs exactly one of env, file and prompt", "write {env: NAME} or {file: path}")
        return self

    def reveal(self) -> str:
        """Read the password from where the reference points.

        Raises:
            ConfigError: the variable is not set, the file cannot be read or is empty, or there is no
                terminal to ask on.
        """
        if self.prompt is not None:
            return self._asked(self.prompt)
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise ConfigError(
                    f"the environment variable {self.env} holds no password", f"export {self.env}=…"
                )
            return value
        assert self.file is not None
        try:
            value = Path(self.file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(
                f"cannot read the password file {self.file}: {reason}",
                "write the password into it and make it readable for you alone",
            ) from None
        if not value:
            raise ConfigError(f"the password file {self.file} is empty", "write the password into it")
        return value

    def _asked(self, prompt: str) -> str:
        """Ask once; what was said is kept where worker processes find it too, their environment."""
        kept = f"LOADGEN_ASKED_{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"
        value = os.environ.get(kept)
        if value is None:
            if not sys.stdin.isatty():
                raise ConfigError(
                    f"there is no terminal to ask on: {prompt}", "write {env: NAME} or {file: path}"
                )
            value = getpass.getpass(f"{prompt}: ")
            if not value:
                raise ConfigError(f"no password was given: {prompt}", "run it again")
            os.environ[kept] = value
        return value
