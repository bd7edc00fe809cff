#!/usr/bin/env python3
"""Writes tests/fixtures/chat: templates in the style of public families, in our own words, and what Python's jinja2
makes of them with the settings of transformers (trim_blocks, lstrip_blocks, its tojson and generation blocks).

    python3 tools/dump_chat.py                            write the fixtures
    python3 tools/dump_chat.py --compare FILE.jinja       print what jinja2 makes of a template

Needs transformers and jinja2.
"""
import argparse
import datetime
import json
import pathlib

import transformers.utils.chat_template_utils as reference

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures/chat"
NOW = 1764590400  # 2025-12-01 12:00 UTC

CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call00001", "type": "function",
     "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "at": None}}}]}
TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Tells the weather <of> a \"city\".",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "where"}, "days": {"type": "integer", "default": 1}}}}}]
USER = {"role": "user", "content": "  Hello <|im_end|>, \n what's new? "}
TALK = [{"role": "system", "content": "Be brief."}, USER,
        {"role": "assistant", "content": "<think>\nHm, ñ.\n</think>\n\nNothing."}, {"role": "user", "content": "Ok — 😀"}]
USED = [USER, CALL, {"role": "tool", "name": "weather", "tool_call_id": "call00001", "content": "sunny, 21.5"},
        {"role": "assistant", "content": "It is sunny."}]
PARTS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
INPUTS = [
    {"messages": [USER], "tools": None},
    {"messages": TALK, "tools": None},
    {"messages": TALK, "tools": TOOLS, "add_generation_prompt": False},
    {"messages": USED, "tools": TOOLS},
    {"messages": PARTS, "tools": None},
    {"messages": TALK, "tools": None, "documents": [{"title": "One", "text": "First."}, {"title": "Two", "text": "2nd"}],
     "variables": {"enable_thinking": False, "bos_token": "<bos>", "eos_token": "</s>"}},
    {"messages": [], "tools": None},
    {"messages": [{"role": "assistant", "content": None}, USER], "tools": None},
]

ASK = "{% if add_generation_prompt %}<a>{% endif %}"
TEMPLATES = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m['content'] | string) + '<|im_end|>\n' }}"
              "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}\n",
    "default-system": "{% for m in messages %}\n    {% if loop.first and messages[0].role != 'system' %}\n"
                      "<sys>You help.</sys>\n    {% endif %}\n[{{ m.role }}] {{ m.content }}\n{% endfor %}\n" + ASK,
    "llama-tools": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<h>system</h>\\n\\nToday: " + date_string + "\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}
{%- endif %}
{{- system }}{{- "<e>" }}
{%- for m in messages %}
    {%- if 'tool_calls' in m %}
        {%- if not m.tool_calls | length == 1 %}{{- raise_exception("One call at a time!") }}{%- endif %}
        {%- set call = m.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson }}{{- "}<m>" }}
    {%- elif m.role == "tool" or m.role == "ipython" %}
        {%- if m.content is mapping or m.content is iterable %}{{- m.content | tojson }}{%- else %}{{- m.content }}{%- endif %}
    {%- else %}
        {{- '<h>' + m['role'] + '</h>' + m['content'] | trim + '<e>' }}
    {%- endif %}
{%- endfor %}
""" + ASK,
    "mistral": """{%- set ns = namespace(index=0, system=none) %}{{ bos_token }}
{%- for m in messages %}
    {%- if m.role == 'system' %}{% set ns.system = m.content %}{% continue %}{% endif %}
    {%- if m.role in ['user', 'assistant'] and not m.tool_calls %}
        {%- if (m.role == 'user') != (ns.index % 2 == 0) %}
            {{- raise_exception('Roles must alternate: ' ~ loop.index0) }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
    {%- if m.role == 'user' %}
        {{- '[I] ' ~ (ns.system ~ '\\n\\n' if ns.system and loop.last else '') ~ m.content ~ ' [/I]' }}
    {%- elif m.role == 'assistant' %}{{- ' ' ~ m.content | default('', true) ~ eos_token }}
    {%- endif %}
{%- endfor %}""",
    "gemma": """{{ bos_token }}{% if messages and messages[0]['role'] == 'system' %}{{ raise_exception('No system') }}{% endif %}
{% for m in messages %}
{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}
{{ '<t>' + role + '\\n' + m['content'] | trim + '<e>\\n' }}{% endfor %}
""" + ASK,
    "gemma-parts": """{%- macro say(content) -%}
    {%- if content is string -%}{{ content | trim }}
    {%- elif content is iterable -%}
        {%- for item in content -%}
            {%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item.type == 'text' -%}{{ item.text | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content") }}{%- endif -%}
{%- endmacro -%}
{%- for m in messages -%}<{{ m.role }}>{{ say(m.content) }}
{% endfor -%}""",
    "phi": "{% for m in messages %}{% if m['role'] == 'system' and 'tools' in m and m['tools'] is not none %}T{{ m.tools }}"
           "{% else %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
           "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}",
    "qwen-tools": """{%- if tools %}
    {{- '<|s|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools <tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}{{- '<|s|>' + messages[0].content + '<|e|>\\n' }}{%- endif %}
{%- endif %}
{%- set ns = namespace(multi=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi and message.role == "user" and message.content is string and not (message.content.startswith('<r>') and
        message.content.endswith('</r>')) %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|s|>assistant\\n' + (thought if loop.index0 > ns.last else '') + content }}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if call.function %}{%- set call = call.function %}{%- endif %}
                {{- '<c>{"name": "' }}{{- call.name }}{{- '", "arguments": ' }}
                {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
                {{- '}</c>' }}
            {%- endfor %}
        {%- endif %}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|s|>user' }}{%- endif %}
        {{- '\\n<r>' + content + '</r>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|e|>\\n' }}{%- endif %}
    {%- else %}{{- content }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|s|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>' }}{%- endif %}
{%- endif %}""",
    "deepseek": "{% set ns = namespace(first=false, text='') %}{%- for m in messages %}{%- if m['role'] == 'system' %}"
                "{% set ns.text = ns.text + ('' if ns.first is true else 'S:') + m['content'] %}{% endif %}{%- endfor %}"
                "{{ ns.text }}{%- for m in messages %}{%- if m['role'] == 'assistant' and m['content'] is not none %}"
                "{% set c = m['content'] %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}"
                "{{ '<A>' + c }}{%- elif m['role'] == 'user' %}{{ '<U>' + m['content'] }}{%- endif %}{%- endfor -%}" + ASK,
    "command": "{% for m in messages %}{% if m.role|lower == 'user' %}U{{ m.content }}{% elif m.role | upper == 'SYSTEM' %}"
               "S{{ m.content }}{% else %}{{ m.role | capitalize }}|{{ m.role | title }}{% endif %}\n{% endfor %}"
               "{% if documents %}{% for d in documents %}\nDocument: {{ loop.index0 }}\n{% for k, v in d.items() %}{{ k|title }}: "
               "{{ v }}\n{% endfor %}{% endfor %}{% endif %}",
    "command-types": """{%- macro name_of(spec, top=false) -%}
{%- if spec.type == 'string' -%}str{%- elif spec.type == 'integer' -%}int
{%- elif spec.type == 'object' -%}{%- for key, value in spec.properties.items() -%}{{ key }}: {{ name_of(value, top=true) }}
{%- if not loop.last %}, {% endif -%}{%- endfor -%}{%- else -%}Any{%- endif -%}{%- if top %}!{% endif -%}
{%- endmacro -%}
{% for t in tools or [] %}def {{ t.function.name }}({{ name_of(t['function']['parameters']) }}):{{ '\\n' -}}
{{ t.function.description | indent(2) }} {{ t.function.parameters.required | join(', ') }}
{% else %}no tools{% endfor %}""",
    "granite": """{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system = "Date: " ~ strftime_now('%B %d, %Y') ~ "." %}
    {%- if tools and documents %}{%- set system = system + " Both." %}{%- elif tools %}{%- set system = system + " Tools." %}{%- endif %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- '<r>system' + system + '\\n' }}
{%- if tools %}{{- tools | tojson(indent=4) }}{%- endif %}
{%- if documents %}{%- for d in documents %}{{- 'D' + loop.index | string + '\\n' + d['text'] }}{%- if not loop.last %}{{- '\\n\\n' }}{%- endif %}{%- endfor %}{%- endif %}
{%- for m in loop_messages %}{{- '<r>' ~ m['role'] ~ m['content'] }}{%- if loop.last and add_generation_prompt %}{{- '<r>a' }}{%- endif %}{%- endfor %}""",
    "olmo": "{{ eos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|user|>\n' + m['content'] + '\n' }}"
            "{% elif not loop.last %}{{ m['content'] ~ eos_token + '\n' }}{% else %}{{ m['content'] ~ eos_token }}{% endif %}"
            "{% if loop.last and add_generation_prompt %}{{ '<|a|>\n' }}{% endif %}{% endfor %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}\n{% endgeneration %}"
                  "{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "whitespace": "a  {#- c -#}  b\n   {# d #}\n  {%+ if true %}x{% endif +%}\n {{- 1 -}} \n {% if 1 %}   \n y {%- endif %}\n\n z\n\n",
    "white-lines": "  {% for m in messages %}\n  {{ loop.index }}/{{ loop.length }} {{ loop.revindex }} {{ m.role }}\n\n  {% endfor %}\t\n end",
    "loops": "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.cycle('x', 'y') }}"
             "{{ loop.previtem.role if loop.previtem is defined }}>{{ loop.nextitem.role if loop.nextitem else '-' }};{% else %}none"
             "{% endfor %}{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}"
             "{% endfor %}{% for a, b in {'x': 1, 'y': [2, none]}.items() %}{{ a }}={{ b }} {% endfor %}{{ range(5, 0, -2) | list }}",
    "scopes": "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}"
              "{{ x }}{% set a, b = 'p', 'q' %}{{ b ~ a }}{% set t %}in {{ a }}{% endset %}[{{ t }}]{% set u | upper %}loud{% endset %}{{ u }}",
    "macros": "{% macro f(a, b='B', c=none) %}({{ a }}{{ b }}{{ c }}){% endmacro %}{{ f(1) }}{{ f(1, c=2) }}{{ f(b=3, a=4) }}{{ f() }}"
              "{% filter upper %}up{% endfilter %}",
    "numbers": "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1.0 }} {{ 1e3 if false else 0.1 + 0.2 }} {{ 10 / 5 }} "
               "{{ 3 * 'ab' }} {{ [1] * 2 }} {{ '12' | int + 1 }} {{ 'x' | int }} {{ '1.5' | float }} {{ 2.5 | round }} {{ 3.14159 | round(2) }}"
               " {{ 7.5 | int }} {{ -2 | string }} {{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ true + 1 }} {{ 100000000000000000.0 }}",
    "texts": "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ 'xxaxx'.strip('x') }}|{{ ' q '.lstrip() }}|"
             "{{ 'straße ÉA'.upper() }} {{ 'ÉA'.lower() }} {{ \"it's a dog\".title() }} {{ 'aXb'.capitalize() }} {{ 'banana'.find('n') }}"
             " {{ 'banana'.replace('a', 'o', 2) }} {{ 'banana'.count('an') }} {{ '{} {x} {{'.format(1, x='y') }} {{ '%s-%d' % ('a', 3) }}"
             " {{ ', '.join(['p', 'q']) }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'é😀x'[1] }} {{ 'é😀x' | length }} {{ 'é😀x'[::-1] }}"
             " {{ 'tab\\tnew\\\\n' }} {{ ['it\\'s', \"q\\\"\", '\\n'] }}",
    "slices": "{% set l = [0, 1, 2, 3, 4] %}{{ l[1:] }}{{ l[:-1] }}{{ l[::2] }}{{ l[::-2] }}{{ l[3:1:-1] }}{{ l[-2:] }}{{ l[9:] }}{{ l[-1] }}"
              "{{ l[:2] + l[4:] }}{{ 'hello'[1:3] }}{{ messages[:1] | length }}",
    "filters": "{{ [3, 1, 2] | sort }}{{ ['b', 'A', 'a'] | sort }}{{ ['b', 'A', 'a'] | unique | list }}{{ [1, 2] | reverse | list }}"
               "{% for k, v in {'b': 1, 'A': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}{{ [1, 2, 3] | map('string') | join('+') }}{{ [1, 2, 3, 4] | select('odd') | list }}"
               "{{ 'x' | default('d') }}{{ y | default('d') }}{{ '' | default('e', true) }}{{ [] | first | default('f') }}"
               "{{ 'a\nb\n\nc' | indent(3) }}|{{ 'a\nb' | indent(2, first=true) }}{{ '<&\"\\'>' | escape }}{{ 'abc' | list }}{{ 'ab' | last }}",
    "attributes": "{{ messages | map(attribute='role') | join(',') }};{{ messages | selectattr('role', 'equalto', 'user') | list | length }};"
                  "{{ messages | rejectattr('role', 'in', ['user', 'tool']) | map(attribute='role') | list }};"
                  "{{ (messages | selectattr('tool_calls') | list)[0].tool_calls[0]['function'].name if messages | selectattr('tool_calls', "
                  "'defined') | list else 'no calls' }}",
    "tests": "{{ 1 is number }}{{ 1.5 is float }}{{ true is integer }}{{ 'a' is string }}{{ [] is iterable }}{{ {} is mapping }}{{ none is none }}"
             "{{ x is defined }}{{ x is not defined }}{{ 4 is divisibleby 2 }}{{ 3 is odd }}{{ 'a' is in ['a'] }}{{ true is true }}{{ 1 is true }}"
             "{{ 'A' is upper }}{{ x is undefined and not x }}{{ 2 is eq 2 }}{{ 'a' is sequence }}{{ 5 is ge(5) }}",
    "tojson": "{{ {'b': [1, 2.5, none, true], 'a': {'ü': '<\"\\n'}, 'e': [], 'f': {}} | tojson }}\n{{ {'a': [1, {'b': 2}]} | tojson(indent=2) }}"
              "{{ tools | tojson }}{{ {'z': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}{{ 'é' | tojson(ensure_ascii=true) }}",
    "logic": "{{ 1 and 2 }}{{ 0 or 'x' }}{{ not none }}{{ 'a' if false }}{{ 'a' if 0 else 'b' if 0 else 'c' }}{{ 1 in [1] and 2 not in [1] }}"
             "{{ 'k' in {'k': 1} }}{{ 'ab' in 'cabd' }}{{ not 1 == 2 }}{{ 1 ~ 2 ~ 3 }}{{ 'a' 'b' }}{{ {'a': {'b': 1}}.a.b }}{{ {'a': 1}.get('z', 0) }}",
    "dicts": "{% set d = dict(a=1, b='x') %}{{ d }}{{ d.keys() | list }}{{ d.values() | list }}{{ d | items | list | length }}{{ d['c'] }}"
             "{{ d.get('c') }}{% set n = namespace(d) %}{{ n.b }}{% for k in d %}{{ k }}{% endfor %}{{ d | length }}{{ messages[0].role }}",
    "smol": """{%- if enable_thinking is defined -%}{%- set mode = "/think" if enable_thinking else "/no_think" -%}{%- else -%}
{%- set mode = "/think" -%}{%- endif -%}
{%- if messages and messages[0].role == "system" -%}{%- set own = messages[0].content.replace("/no_think", "").rstrip() -%}{%- endif -%}
## Meta

Mode: {{ mode }}{{ "\\n\\n" -}}
{%- if own is defined %}{{ own }}{% endif %}
{% for m in messages %}{% set c = m.content if m.content is string else "" %}{{ m.role ~ ":" ~ c.lstrip() }}{% endfor %}""",
    "refuses": "{% if messages | length < 2 %}{{ raise_exception('Too short') }}{% endif %}{{ messages[1].role.upper() }}{{ missing.deep }}",
    "nested-blocks": "{% for m in messages %}{% for n in messages %}{% if n.role == m.role %}{{ loop.index }}{% else %}{% if loop.last %}L"
                     "{% endif %}{% endif %}{% endfor %}{{ loop.index }}\n{% endfor %}",
}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, datetime.timezone.utc)


def rendered(source, given):
    """What transformers' own environment makes of it, or None where it refuses."""
    reference.datetime = Clock
    try:
        compiled = reference._compile_jinja_template(source)
        return compiled.render(messages=given["messages"], tools=given["tools"], documents=given.get("documents"),
                               add_generation_prompt=given.get("add_generation_prompt", True), **given["variables"])
    except Exception as error:  # jinja2's, and Python's own TypeErrors
        print(f"   refused: {error}")
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--compare", metavar="FILE")
    options = parser.parse_args()
    if options.compare:
        source = pathlib.Path(options.compare).read_text()
        print(json.dumps([rendered(source, {**one, "variables": {}}) for one in INPUTS], ensure_ascii=False, indent=1))
        return
    for name, source in TEMPLATES.items():
        print(name)
        cases = []
        plain = "messages" not in source and "tools" not in source
        for one in INPUTS[:1] if plain else INPUTS:
            case = {"documents": None, "add_generation_prompt": True, "variables": {"bos_token": "<s>", "eos_token": "</s>"},
                    "now": NOW, **one}
            text = rendered(source, case)
            cases.append(case if text is None else {**case, "text": text})
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "template.jinja").write_text(source)
        (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
