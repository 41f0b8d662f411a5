// SPDX-License-Identifier: Apache-2.0
// net_bench serve PORT: a stream's other end, one client after the other: it takes or gives what the client's first byte asks for.
// net_bench send|receive ADDRESS PORT SECONDS: a TCP stream for so long. Prints "BYTES n SECONDS s".
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[65536];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in place(const char* address, const char* port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  inet_pton(AF_INET, address, &at.sin_addr);
  return at;
}

static int serve(const char* port) {
  const struct sockaddr_in at = place("0.0.0.0", port);
  const int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (const struct sockaddr*)&at, sizeof at) != 0 || listen(listener, 4) != 0) {
    perror("net_bench serve");
    return 1;
  }
  for (;;) {
    const int client = accept(listener, NULL, NULL);
    char wish = 0;
    if (client >= 0 && read(client, &wish, 1) == 1) {
      while ((wish == 's' ? read(client, buffer, sizeof buffer) : write(client, buffer, sizeof buffer)) > 0) {
      }
    }
    close(client);
  }
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) {
    return serve(argv[2]);
  }
  if (argc != 5) {
    fprintf(stderr, "net_bench serve PORT, or send|receive ADDRESS PORT SECONDS\n");
    return 64;
  }
  const int sends = strcmp(argv[1], "send") == 0;
  const struct sockaddr_in at = place(argv[2], argv[3]);
  const int stream = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(stream, (const struct sockaddr*)&at, sizeof at) != 0 || write(stream, sends ? "s" : "r", 1) != 1) {
    perror("net_bench: connect");
    return 1;
  }
  const double start = now(), end = start + strtod(argv[4], NULL);
  long long bytes = 0;
  while (now() < end) {
    const ssize_t moved = sends ? write(stream, buffer, sizeof buffer) : read(stream, buffer, sizeof buffer);
    if (moved <= 0) {
      perror("net_bench: the stream ended");
      return 1;
    }
    bytes += moved;
  }
  printf("BYTES %lld SECONDS %.3f\n", bytes, now() - start);
  return 0;
}
