#!/usr/bin/env python3
"""embed.py ARCH PROGRAM OUTPUT: the program as a C array, for skiff to carry (src/client/agent-program.h)."""

import sys

LIMIT = 64 << 10  # bytes that an agent may have

arch, program, output = sys.argv[1:]
with open(program, "rb") as file:
    data = file.read()
if len(data) > LIMIT:
    sys.exit(f"{program}: {len(data)} bytes; an agent may have {LIMIT}")
lines = [",".join(map(str, data[at : at + 32])) for at in range(0, len(data), 32)]
with open(output, "w") as file:
    file.write('#include "client/agent-program.h"\n\n')
    file.write(f"static const unsigned char bytes[] = {{\n{','.join(line + chr(10) for line in lines)}}};\n")
    file.write(f"const struct agent_program agent_program_{arch} = {{bytes, sizeof(bytes)}};\n")
