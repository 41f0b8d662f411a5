/* SPDX-License-Identifier: Apache-2.0 */
/* gpu_work NODE FOLDER: work for a render GPU: a compute shader whose numbers must be exact, as
 * FOLDER/numbers (32 bits each, least significant byte first), and a scene, drawn off screen, as
 * FOLDER/picture.png. gpu_work NODE: draws the scene again and again, with numbers between, until
 * it is killed.
 *
 * NODE is a render node such as /dev/dri/renderD128, or "software", for reference results on any
 * machine. */
#include "gpu_work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("GPU-WORK-FAILED ");
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  exit(1);
}

static void work_once(const char* folder) {
  static uint32_t numbers[NUMBER_COUNT];
  static uint8_t pixels[PICTURE_SIZE * PICTURE_SIZE * 3];
  char path[4096];
  unsigned wrong = compute(numbers);
  printf("COMPUTE %d numbers, %u wrong\n", NUMBER_COUNT, wrong);
  draw_scene(0.6f);
  read_picture(pixels);
  snprintf(path, sizeof path, "%s/numbers", folder);
  write_file(path, numbers, sizeof numbers);
  snprintf(path, sizeof path, "%s/picture.png", folder);
  write_png(path, pixels);
  printf("GPU-WORK-DONE\n");
}

/* A line every eight frames: the console is slow. */
static void work_for_ever(void) {
  static uint32_t numbers[NUMBER_COUNT];
  for (unsigned frame = 1;; ++frame) {
    draw_scene(0.05f * (float)frame);
    if (frame % 8 != 0) {
      continue;
    }
    if (compute(numbers) != 0) {
      die("wrong numbers after %u frames", frame);
    }
    printf("FRAMES %u\n", frame);
  }
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc != 2 && argc != 3) {
    die("usage: gpu_work NODE [FOLDER]");
  }
  open_context(argv[1]);
  prepare_scene();
  if (argc == 3) {
    work_once(argv[2]);
  } else {
    work_for_ever();
  }
  return 0;
}
