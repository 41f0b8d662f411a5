/* SPDX-License-Identifier: Apache-2.0 */
/* Shader programs, and OpenGL's error state. */
#include "gpu_work.h"

static void attach(GLuint program, GLenum kind, const char* source) {
  GLuint shader = glCreateShader(kind);
  GLint good = 0;
  glShaderSource(shader, 1, &source, 0);
  glCompileShader(shader);
  glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
  if (!good) {
    char log[1024] = "";
    glGetShaderInfoLog(shader, sizeof log, 0, log);
    die("a shader does not compile: %s", log);
  }
  glAttachShader(program, shader);
  glDeleteShader(shader);
}

unsigned build_program(const char* first, const char* fragment) {
  GLuint program = glCreateProgram();
  GLint good = 0;
  attach(program, fragment ? GL_VERTEX_SHADER : GL_COMPUTE_SHADER, first);
  if (fragment) {
    attach(program, GL_FRAGMENT_SHADER, fragment);
  }
  glLinkProgram(program);
  glGetProgramiv(program, GL_LINK_STATUS, &good);
  if (!good) {
    char log[1024] = "";
    glGetProgramInfoLog(program, sizeof log, 0, log);
    die("a program does not link: %s", log);
  }
  return program;
}

void check_gl(const char* what) {
  GLenum error = glGetError();
  if (error != GL_NO_ERROR) {
    die("%s: OpenGL's error 0x%x", what, error);
  }
}
