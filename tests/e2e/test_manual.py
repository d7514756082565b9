"""The manual page says what the program says."""

import pathlib
import re
import subprocess

import scenario
from scenario import Scenario, on

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/man/skiff.1.scd"


@on("embedded")
class Manual(Scenario):
    def help(self, *arguments):
        return subprocess.run([str(scenario.settings.skiff), *arguments], check=True, capture_output=True, text=True).stdout

    def test_it_names_every_command_and_option(self):
        page = PAGE.read_text()
        commands = re.findall(r"^  (\w+)  ", self.help("help"), re.M)
        self.assertIn("dev", commands)
        for command in commands:
            self.assertRegex(page, rf"(?m)^\*{command}\*", command)
            for option in re.findall(r"^  .*?(--[\w-]+)", self.help(command, "--help"), re.M):
                self.assertIn(f"*{option}*", page, f"{command} {option}")
