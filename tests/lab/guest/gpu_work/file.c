/* SPDX-License-Identifier: Apache-2.0 */
/* Files, and pictures as PNG (ISO/IEC 15948) in stored blocks of deflate (RFC 1951, 3.2.4) with
 * zlib's frame (RFC 1950): large, and without a library. */
#include "gpu_work.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROW = PICTURE_SIZE * 3 + 1, DATA = 2 + PICTURE_SIZE * (5 + ROW) + 4 };

void write_file(const char* path, const void* bytes, unsigned long size) {
  FILE* file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fflush(file) || fsync(fileno(file)) ||
      fclose(file)) {
    die("%s cannot be written", path);
  }
}

static uint8_t* put_u32(uint8_t* at, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    *at++ = (uint8_t)(value >> shift);
  }
  return at;
}

/* ISO/IEC 15948, annex D. */
static uint32_t crc_of(const uint8_t* bytes, uint32_t size) {
  uint32_t crc = 0xffffffff;
  for (uint32_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return ~crc;
}

static uint8_t* put_chunk(uint8_t* at, const char* type, const uint8_t* data, uint32_t size) {
  uint8_t* start = put_u32(at, size);
  memcpy(start, type, 4);
  if (size != 0) {
    memcpy(start + 4, data, size);
  }
  return put_u32(start + 4 + size, crc_of(start, size + 4));
}

/* A block for each row, which begins with its filter type, 0. */
static void compress(uint8_t* at, const uint8_t* pixels) {
  uint32_t low = 1, high = 0;
  *at++ = 0x78;
  *at++ = 0x01;
  for (int y = 0; y < PICTURE_SIZE; ++y) {
    uint8_t* row = at + 5;
    *at++ = y == PICTURE_SIZE - 1;
    *at++ = ROW & 0xff;
    *at++ = ROW >> 8;
    *at++ = ~ROW & 0xff;
    *at++ = (~ROW >> 8) & 0xff;
    *row = 0;
    memcpy(row + 1, pixels + y * (ROW - 1), ROW - 1);
    for (int i = 0; i < ROW; ++i) {
      low = (low + row[i]) % 65521;
      high = (high + low) % 65521;
    }
    at += ROW;
  }
  put_u32(at, high << 16 | low);
}

void write_png(const char* path, const uint8_t* pixels) {
  static uint8_t data[DATA], file[DATA + 100];
  uint8_t header[13], *at = file;
  put_u32(put_u32(header, PICTURE_SIZE), PICTURE_SIZE);
  memcpy(header + 8, "\x08\x02\0\0\0", 5); /* 8 bits of each of three colours */
  compress(data, pixels);
  memcpy(at, "\x89PNG\r\n\x1a\n", 8);
  at = put_chunk(at + 8, "IHDR", header, sizeof header);
  at = put_chunk(at, "IDAT", data, sizeof data);
  at = put_chunk(at, "IEND", 0, 0);
  write_file(path, file, (unsigned long)(at - file));
}
