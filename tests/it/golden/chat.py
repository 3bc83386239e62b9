"""Renders chat templates with transformers, as the reference for `ChatTemplate`.

    python chat.py                   writes chat.json beside this script, from the templates in chat/
    python chat.py FOLDER OUT.json   the same for any folder of *.jinja files

Needs transformers and jinja2; their versions go into the file. Every template meets every conversation below through
`apply_chat_template`. A refusal is kept as {"error": …}: the message where the template itself raised it, else null.
"""

import json
import logging
import sys
from datetime import datetime
from pathlib import Path

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers.utils import chat_template_utils

NOW = (2024, 7, 9, 8, 5, 3)
BOS, EOS, UNK, PAD = "<s>", "</s>", "<unk>", "<pad>"


class FixedClock(datetime):
    """Templates that print today's date must print the same one on every run."""

    @classmethod
    def now(cls, tz=None):
        return cls(*NOW, tzinfo=tz)


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place, now <or> later & \"there\".",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Town, as in Zürich"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
                "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 1e16, "nullable": True},
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 0},
                "options": {
                    "type": "object",
                    "properties": {"deep": {"type": "boolean", "default": False}, "rate": {"type": "number", "default": 1e-05}},
                    "required": ["deep"],
                    "additionalProperties": False,
                },
            },
            "required": ["place", "unit"],
        },
        "return": {"type": "object", "description": "it"},
    },
}
TIME = {
    "type": "function",
    "function": {"name": "time", "description": "The time.\nIn two lines.", "parameters": {"type": "object", "properties": {}}},
}
TOOLS = [WEATHER, TIME]
ARGUMENTS = {"place": "Zürich \"Nord\" it's", "days": 3, "rate": 0.1, "big": 1e22, "deep": True, "none": None, "items": [1, 2.0, "x"], "options": {"a": {}, "b": []}}
ANSWER = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"sky\": \"clear\"}"}
ROUND = [
    user("Weather in Zürich?"),
    {"role": "assistant", "content": "", "tool_calls": [call("get_weather", ARGUMENTS, id="call00001")]},
    ANSWER,
    assistant("Clear."),
    user("Thanks"),
]
PARTS = [{"type": "text", "text": "Look at"}, {"type": "image"}, {"type": "text", "text": " this. "}]

CASES = {
    "user": ([user("Hello")], {}),
    "user, no prompt": ([user("Hello")], {"add_generation_prompt": False}),
    "system": ([system("Be brief."), user("Hello")], {}),
    "turns": ([system("Be brief."), user("Hello"), assistant("Hi!"), user("More?"), assistant("No."), user("Why?")], {}),
    "turns, closed": ([user("Hello"), assistant("Hi!"), user("More?"), assistant("No.")], {"add_generation_prompt": False}),
    "spaces": ([system("  Be brief.\n"), user("\n Hello \u00a0\u3000\n\n"), assistant("\tHi \n"), user(" ok")], {}),
    "unicode": ([user("Zürich 東京 🦀 e\u0301 <|im_end|> </s> & 'q' \"d\" \\ {{ x }} {% y %}")], {}),
    "empty": ([user(""), assistant(""), user("x")], {}),
    "no content": ([user("x"), assistant(None), user("y")], {}),
    "two users": ([user("a"), user("b")], {}),
    "assistant first": ([assistant("a"), user("b")], {}),
    "late system": ([user("a"), assistant("b"), system("c"), user("d")], {}),
    "only system": ([system("c")], {}),
    "strange role": ([user("a"), {"role": "critic", "content": "b"}], {}),
    "developer": ([{"role": "developer", "content": "Be kind."}, user("a")], {}),
    "named": ([{"role": "user", "name": "Eve", "content": "a"}], {}),
    "parts": ([user(PARTS), assistant([{"type": "text", "text": "Seen."}]), user("ok")], {}),
    "system parts": ([system([{"type": "text", "text": "Be brief."}]), user([{"type": "text", "text": "a"}])], {}),
    "content is a number": ([user(7)], {}),
    "content is a list of strings": ([user(["a", "b"])], {}),
    "tools": ([user("Weather in Zürich?")], {"tools": TOOLS}),
    "tools, system": ([system("Be brief."), user("Weather in Zürich?")], {"tools": TOOLS}),
    "no tools": ([user("Hello")], {"tools": []}),
    "tool round": (ROUND, {"tools": TOOLS}),
    "tool answer last": (ROUND[:3], {"tools": TOOLS}),
    "tool round without tools": (ROUND, {}),
    "arguments as text": (
        [user("w"), {"role": "assistant", "tool_calls": [call("time", '{"a": 1}', id="abcdefghi")]}, {**ANSWER, "tool_call_id": "abcdefghi"}],
        {"tools": TOOLS},
    ),
    "two calls": (
        [
            system("s"),
            user("w"),
            assistant("I look.", tool_calls=[call("get_weather", {"place": "A"}, id="aaaaaaaa1"), call("time", {}, id="aaaaaaaa2")]),
            {**ANSWER, "tool_call_id": "aaaaaaaa1"},
            {"role": "tool", "name": "time", "tool_call_id": "aaaaaaaa2", "content": "noon"},
            assistant("Done."),
        ],
        {"tools": TOOLS, "add_generation_prompt": False},
    ),
    "thinking": ([user("a"), assistant("<think>\nhm\n</think>\n\nb"), user("c"), assistant("d", reasoning_content="r\ns"), user("e")], {}),
    "thinking on": ([user("a"), assistant("b", reasoning_content="why"), user("c")], {"enable_thinking": True, "thinking": True}),
    "thinking off": ([system("s /no_think"), user("a")], {"enable_thinking": False, "thinking": False}),
    "last reasons": ([user("a"), assistant("b", thinking="why")], {"add_generation_prompt": False}),
    "date": ([user("a")], {"date_string": "01 Feb 2023", "today": "1 Feb"}),
    "documents": ([user("a")], {"documents": [{"title": "One", "text": "First."}, {"title": "Zwei", "text": "Second\nline", "doc_id": 4}]}),
    "builtin tools": ([system("s"), user("a")], {"tools": [TIME], "builtin_tools": ["brave_search"], "tools_in_user_message": False}),
    "continue": ([user("a"), assistant("So it")], {"continue_final_message": True, "add_generation_prompt": False}),
    "continue, spaces": ([user("a"), assistant("So it  ")], {"continue_final_message": True, "add_generation_prompt": False}),
    "token overridden": ([user("a")], {"bos_token": "<BOS>"}),
    "none": ([], {}),
}


def tokenizer(template):
    blank = Tokenizer(models.WordLevel({UNK: 0}, unk_token=UNK))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=blank, bos_token=BOS, eos_token=EOS, unk_token=UNK, pad_token=PAD)
    made.chat_template = template
    return made


def render(made, messages, options):
    options = {"add_generation_prompt": True, **options}
    try:
        return made.apply_chat_template(messages, tokenize=False, **options)
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error) if raised else None}
    except Exception:
        return {"error": None}


def main():
    here = Path(__file__).parent
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "chat"
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else here / "chat.json"
    logging.disable(logging.CRITICAL)
    chat_template_utils.datetime = FixedClock
    rendered = {}
    for path in sorted(folder.glob("*.jinja")):
        made = tokenizer(path.read_bytes().decode())
        rendered[path.stem] = {name: render(made, *case) for name, case in CASES.items()}
    snippets = folder / "snippets.json"
    snippets = json.loads(snippets.read_text()) if snippets.exists() else []
    golden = {
        "comment": "Chat templates as transformers renders them (apply_chat_template), made by chat.py. `cases` are "
        "conversations with their options, `rendered` the texts by template and case, `snippets` small templates on the case user; an error is a refusal, with "
        "the template's own message where it raised one.",
        "transformers": transformers.__version__,
        "jinja2": jinja2.__version__,
        "now": datetime(*NOW).isoformat(),
        "tokens": {"bos_token": BOS, "eos_token": EOS, "unk_token": UNK, "pad_token": PAD},
        "cases": {name: {"messages": messages, "options": options} for name, (messages, options) in CASES.items()},
        "rendered": rendered,
        "snippets": [[text, render(tokenizer(text), *CASES["user"])] for text in snippets],
    }
    out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
