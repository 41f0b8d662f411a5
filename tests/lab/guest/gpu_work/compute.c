/* SPDX-License-Identifier: Apache-2.0 */
/* A compute shader that gives exact numbers only if shared memory and barriers work: of every 256
 * numbers the running sums, each step of which reads what other invocations have written. The
 * processor computes the same. */
#include "gpu_work.h"

#include <string.h>

enum { GROUP = 256 };

static const char compute_source[] =
    "#version 430 core\n"
    "layout(local_size_x = 256) in;\n"
    "layout(std430, binding = 0) readonly buffer Input { uint given[]; };\n"
    "layout(std430, binding = 1) writeonly buffer Output { uint sums[]; };\n"
    "shared uint tile[256];\n"
    "void main() {\n"
    "  uint lane = gl_LocalInvocationID.x;\n"
    "  tile[lane] = given[gl_GlobalInvocationID.x];\n"
    "  barrier();\n"
    "  for (uint step = 1u; step < 256u; step <<= 1) {\n"
    "    uint other = lane >= step ? tile[lane - step] : 0u;\n"
    "    barrier();\n"
    "    tile[lane] += other;\n"
    "    barrier();\n"
    "  }\n"
    "  sums[gl_GlobalInvocationID.x] = tile[lane] ^ (tile[255u - lane] >> 7);\n"
    "}\n";

/* Knuth's multiplicative hash: all bits in use. */
static uint32_t given_number(uint32_t index) {
  return index * 2654435761u ^ (index >> 3);
}

static unsigned count_wrong(const uint32_t* results) {
  unsigned wrong = 0;
  for (uint32_t group = 0; group < NUMBER_COUNT; group += GROUP) {
    uint32_t sums[GROUP];
    uint32_t sum = 0;
    for (uint32_t i = 0; i < GROUP; ++i) {
      sum += given_number(group + i);
      sums[i] = sum;
    }
    for (uint32_t i = 0; i < GROUP; ++i) {
      wrong += results[group + i] != (sums[i] ^ (sums[GROUP - 1 - i] >> 7));
    }
  }
  return wrong;
}

unsigned compute(uint32_t* numbers) {
  static GLuint program;
  static GLuint buffers[2];
  const GLsizeiptr size = NUMBER_COUNT * (GLsizeiptr)sizeof *numbers;
  if (!program) {
    program = build_program(compute_source, 0);
    glGenBuffers(2, buffers);
  }
  for (uint32_t i = 0; i < NUMBER_COUNT; ++i) {
    numbers[i] = given_number(i);
  }
  for (GLuint i = 0; i < 2; ++i) {
    glBindBufferBase(GL_SHADER_STORAGE_BUFFER, i, buffers[i]);
    glBufferData(GL_SHADER_STORAGE_BUFFER, size, i == 0 ? numbers : 0, GL_DYNAMIC_READ);
  }
  glUseProgram(program);
  glDispatchCompute(NUMBER_COUNT / GROUP, 1, 1);
  glMemoryBarrier(GL_BUFFER_UPDATE_BARRIER_BIT);
  memset(numbers, 0, (size_t)size);
  glGetBufferSubData(GL_SHADER_STORAGE_BUFFER, 0, size, numbers);
  check_gl("compute");
  return count_wrong(numbers);
}
