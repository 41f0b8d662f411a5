// SPDX-License-Identifier: Apache-2.0
// fb_bench FRAMEBUFFER SECONDS: writes whole pictures, each of another colour, one after the other. Prints "REQUESTS n SECONDS s", as
// disk_bench does: a request is a picture.
#include <fcntl.h>
#include <linux/fb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  struct fb_fix_screeninfo fixed;
  struct fb_var_screeninfo variable;
  const int screen = argc == 3 ? open(argv[1], O_RDWR) : -1;
  if (screen < 0 || ioctl(screen, FBIOGET_FSCREENINFO, &fixed) != 0 || ioctl(screen, FBIOGET_VSCREENINFO, &variable) != 0) {
    perror("fb_bench FRAMEBUFFER SECONDS");
    return 1;
  }
  const size_t size = (size_t)fixed.line_length * variable.yres;
  unsigned char* const picture = malloc(size);
  if (size == 0 || picture == NULL) {
    fprintf(stderr, "the screen has no size\n");
    return 1;
  }
  const double start = now(), end = start + strtod(argv[2], NULL);
  long requests = 0;
  do {
    memset(picture, (int)(requests * 37 % 256), size);
    for (size_t done = 0; done < size;) {
      const ssize_t count = pwrite(screen, picture + done, size - done, (off_t)done);
      if (count <= 0) {
        perror("write");
        return 1;
      }
      done += (size_t)count;
    }
    ++requests;
  } while (now() < end);
  printf("REQUESTS %ld SECONDS %.3f\n", requests, now() - start);
  return 0;
}
