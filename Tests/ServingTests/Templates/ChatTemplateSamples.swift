/// Chat templates in the manner of families of models, written for these tests, and conversations for them.
enum ChatTemplateSamples {
    static let templates: [String] = [
        // ChatML, with a system message of its own where there is none.
        """
        {% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}
        {% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
        """,
        // Llama 3: headers, tools in the system message, the date.
        """
        {{- bos_token }}
        {%- if custom_tools is defined %}
            {%- set tools = custom_tools %}
        {%- endif %}
        {%- if not date_string is defined %}
            {%- set date_string = "26 Jul 2024" %}
        {%- endif %}
        {%- if not tools is defined %}{%- set tools = none %}{%- endif %}
        {#- The system message is set apart. #}
        {%- if messages[0]['role'] == 'system' %}
            {%- set system_message = messages[0]['content']|trim %}
            {%- set messages = messages[1:] %}
        {%- else %}
            {%- set system_message = "" %}
        {%- endif %}
        {{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
        {%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
        {{- "Today: " + date_string + "\\n\\n" }}
        {%- if tools is not none %}
            {%- for t in tools %}
                {{- t | tojson(indent=4) }}
                {{- "\\n\\n" }}
            {%- endfor %}
        {%- endif %}
        {{- system_message }}
        {{- "<|eot_id|>" }}
        {%- for message in messages %}
            {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
                {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
            {%- elif 'tool_calls' in message %}
                {%- if not message.tool_calls|length == 1 %}
                    {{- raise_exception("one call at a time") }}
                {%- endif %}
                {%- set tool_call = message.tool_calls[0].function %}
                {{- '{"name": "' + tool_call.name + '", ' }}
                {%- for name, value in tool_call.arguments | items %}
                    {{- name + '="' ~ value ~ '"' }}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}<|eot_id|>" }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {%- endif %}

        """,
        // Mistral: turns have to alternate.
        """
        {{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must \
        alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
        {% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('only users and assistants') }}\
        {% endif %}{% endfor %}
        """,
        // Gemma: the assistant is called model, and there is no system.
        """
        {{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
        {%- for message in messages -%}
        {%- if (message['role'] == 'assistant') -%}{%- set role = 'model' -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
        {{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
        {%- endfor %}
        {%- if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}
        """,
        // Zephyr: one block a line.
        """
        {% for message in messages %}
        {% if message['role'] == 'user' %}
        {{ '<|user|>\\n' + message['content'] + eos_token }}
        {% elif message['role'] == 'system' %}
        {{ '<|system|>\\n' + message['content'] + eos_token }}
        {% elif message['role'] == 'assistant' %}
        {{ '<|assistant|>\\n'  + message['content'] + eos_token }}
        {% endif %}
        {% if loop.last and add_generation_prompt %}
        {{ '<|assistant|>' }}
        {% endif %}
        {% endfor %}
        """,
        // Llama 2: the system message inside the first turn.
        """
        {% if messages[0].role == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}
        {%- else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}
        {% for message in loop_messages %}
        {%- if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
        {%- else %}{% set content = message['content'] %}{% endif %}
        {%- if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
        {%- elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}
        """,
        // Qwen: a namespace that looks for the last question from the end, thoughts that are cut off.
        """
        {%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
        {%- for message in messages[::-1] %}
            {%- set index = (messages|length - 1) - loop.index0 %}
            {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and \
        message.content.endswith('</tool>')) %}
                {%- set ns.multi_step = false %}
                {%- set ns.last = index %}
            {%- endif %}
        {%- endfor %}
        {%- for message in messages %}
            {%- set content = message.content if message.content is string else '' %}
            {%- if message.role == "assistant" and '</think>' in content %}
                {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
                {%- if loop.index0 > ns.last %}{%- set content = '<think>' ~ thought ~ '</think>' ~ content %}{%- endif %}
            {%- endif %}
            {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
        """,
        // Phi: tags, and an end that depends on the prompt.
        """
        {% for message in messages %}{{ '<|' ~ message.role ~ '|>' }}{{ '\\n' }}{{ message.content ~ '<|end|>\\n' }}{% endfor %}\
        {{ '<|assistant|>\\n' if add_generation_prompt else eos_token }}
        """,
        // Command: macros for the turns and the tools.
        """
        {%- macro turn(role, text, mark='CHATBOT') -%}
        <|START|><|{{ mark if role == 'assistant' else role|upper }}|>{{ text }}<|END|>
        {%- endmacro -%}
        {%- macro json_type(spec) %}{% if spec.type == 'array' %}List[{{ json_type(spec['items']) }}]{% else %}{{ spec.type | default('Any') }}{% endif %}{% endmacro -%}
        {{ bos_token }}
        {%- for tool in tools or [] %}
        def {{ tool.name }}({% for name, spec in tool.parameters.items() %}{{ name }}: {{ json_type(spec) }}{% if not loop.last %}, {% endif %}{% endfor %})
        {% endfor %}
        {%- for message in messages %}{{ turn(message.role, message.content) }}{% endfor %}
        {{- turn('assistant', '') }}
        """,
        // Granite: filters over messages, sets as blocks.
        """
        {%- set users = messages | selectattr('role', 'equalto', 'user') | list %}
        {%- set rest = messages | rejectattr('role', 'eq', 'user') | map(attribute='content') | join(' / ') %}
        {%- set head %}
        {{ users | length }} questions, {{ rest | default('none', true) }}
        {% endset %}
        {{ head | trim }}
        {% for message in messages if message.role in ['user', 'assistant'] %}
        {{ loop.index }}/{{ loop.length }} {{ message.content.replace('\\n', ' ') | upper }}
        {% else %}
        nothing
        {% endfor %}
        {{ messages | map(attribute='role') | unique | join(', ') }}
        """,
        // Falcon: lines for turns, white space control of every kind.
        """
        {% for message in messages %}
            {%+ if loop.first %}
          first
        {% endif +%}
            {% if not loop.first %}{{ '\\n' }}{% endif %}
            {{ message.role|capitalize }}: {{ message.content|trim -}}
        {# the end of a turn #}
        {% endfor %}
        {{ 'Assistant:' if add_generation_prompt }}

        """,
        // DeepSeek: flags in a namespace, breaks out of loops.
        """
        {% set ns = namespace(is_first=false, system='') %}
        {%- for message in messages %}{%- if message['role'] == 'system' %}{%- set ns.system = ns.system + message['content'] %}{%- endif %}{%- endfor %}
        {{- bos_token }}{{ ns.system }}
        {%- for message in messages %}
        {%- if message['role'] == 'system' %}{% continue %}{% endif %}
        {%- if loop.index > 6 %}{% break %}{% endif %}
        {%- if message['role'] == 'user' %}{%- set ns.is_first = true -%}{{ '<User>' + message['content'] }}{%- endif %}
        {%- if message['role'] == 'assistant' and message['content'] is not none %}{{ '<Assistant>' + message['content'] + eos_token }}{%- endif %}
        {%- endfor -%}
        {% if add_generation_prompt and ns.is_first %}{{ '<Assistant>' }}{% endif %}
        """,
    ]

    private static let conversations: [String] = [
        #"[{"role": "user", "content": " Hello\nthere "}]"#,
        #"[{"role": "system", "content": "Be brief. "}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>hm</think>Yes?"}, {"role": "user", "content": "Grüße, 世界 \"q\" <b>"}]"#,
        #"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "<think>\nwhy\n</think>\n\nd"}]"#,
        #"[{"role": "assistant", "content": "first"}, {"role": "system", "content": "late"}]"#,
        #"[{"role": "user", "content": "weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"place": "Köln", "days": 3}}}]}]"#,
    ]

    /// Contexts as JSON objects.
    static let contexts: [String] = conversations.flatMap { messages in
        [
            #"{"messages": \#(messages), "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}"#,
            #"{"messages": \#(messages), "add_generation_prompt": false, "bos_token": "", "eos_token": "<|end|>", "tools": [{"name": "look", "parameters": {"place": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}, "x": {}}}]}"#,
        ]
    }
}
