/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gpu_work share. Every function that fails ends the program with one line that
 * says why. */
#pragma once

#define GL_GLEXT_PROTOTYPES
#include <GL/glcorearb.h>
#include <stdint.h>

/* The picture's width and height. */
enum { PICTURE_SIZE = 512 };

/* How many numbers the compute shader works on. */
enum { NUMBER_COUNT = 65536 };

__attribute__((noreturn, format(printf, 1, 2))) void die(const char* format, ...);

/* context.c: makes an OpenGL 4.3 core context without a surface the current one. NODE is a render
 * node such as /dev/dri/renderD128, or "software". */
void open_context(const char* node);

/* shader.c: a program of a vertex and a fragment shader, or, with FRAGMENT == 0, of a compute
 * shader. */
unsigned build_program(const char* first, const char* fragment);

/* shader.c: ends the program if OpenGL has recorded an error. */
void check_gl(const char* what);

/* compute.c: works on NUMBER_COUNT numbers, writes the results to NUMBERS; how many are not what
 * the processor computes. */
unsigned compute(uint32_t* numbers);

/* scene.c: prepare once, then draw the scene turned by ANGLE (radians) into a picture of
 * PICTURE_SIZE; read_picture gets it, RGB, the top row first. */
void prepare_scene(void);
void draw_scene(float angle);
void read_picture(uint8_t* pixels);

/* file.c: whole files, synced. */
void write_file(const char* path, const void* bytes, unsigned long size);
void write_png(const char* path, const uint8_t* pixels);
