/* A host in C: lease a slot, write an image into it, ask for an inspection, print the answer (docs/hosts.md).

       cc -o host docs/host.c -lrt && ./host STATION/run/runner.sock PID WIDTH HEIGHT < pixels.rgb

   One frame is a 4-byte big-endian length and so many bytes of JSON. A program of yours would use its JSON library;
   here the few values that are needed are cut out of the answers by hand. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LIMIT = 2 * 1024 * 1024 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void write_all(int fd, const void *data, size_t size) {
  for (const char *at = data; size > 0;) {
    ssize_t done = write(fd, at, size);
    if (done <= 0) fail("write");
    at += done;
    size -= (size_t)done;
  }
}

static void read_all(int fd, void *data, size_t size) {
  for (char *at = data; size > 0;) {
    ssize_t done = read(fd, at, size);
    if (done <= 0) fail("read");
    at += done;
    size -= (size_t)done;
  }
}

/* Say one message and return the next one that comes; the caller frees it. */
static char *ask(int fd, const char *json) {
  uint32_t length = htonl((uint32_t)strlen(json));
  write_all(fd, &length, 4);
  write_all(fd, json, strlen(json));
  read_all(fd, &length, 4);
  length = ntohl(length);
  if (length > LIMIT) fail("a frame above the limit");
  char *answer = calloc(length + 1, 1);
  if (answer == NULL) fail("calloc");
  read_all(fd, answer, length);
  return answer;
}

/* The text of "key":"text", or the number of "key":number, as text; the caller frees it. */
static char *value_of(const char *json, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *at = strstr(json, quoted);
  if (at == NULL) {
    fprintf(stderr, "no %s in %s\n", key, json);
    exit(1);
  }
  at += strlen(quoted);
  if (*at == '"') at++;
  return strndup(at, strcspn(at, "\",}"));
}

int main(int count, char **arguments) {
  if (count != 5) {
    fprintf(stderr, "usage: %s SOCKET PID WIDTH HEIGHT < pixels.rgb\n", arguments[0]);
    return 2;
  }
  int width = atoi(arguments[3]), height = atoi(arguments[4]);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, arguments[1], sizeof address.sun_path - 1);
  int link = socket(AF_UNIX, SOCK_STREAM, 0);
  if (link < 0 || connect(link, (struct sockaddr *)&address, sizeof address) < 0) fail(arguments[1]);

  free(ask(link, "{\"type\":\"hello\",\"request_id\":\"1\",\"protocol_version\":\"1.0\"}"));
  char *lease = ask(link, "{\"type\":\"lease\",\"request_id\":\"2\"}");
  char *id = value_of(lease, "shared_mem_id"), *name = value_of(lease, "segment");
  off_t offset = atoll(value_of(lease, "offset"));
  size_t capacity = (size_t)atoll(value_of(lease, "capacity")), size = (size_t)width * (size_t)height * 3;
  if (size > capacity) fail("the image is larger than a slot");

  /* The slot begins at `offset`, which is a multiple of the page size: it can be mapped alone. */
  char path[256];
  snprintf(path, sizeof path, "/%s", name);
  int segment = shm_open(path, O_RDWR, 0);
  char *slot = segment < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, segment, offset);
  if (slot == MAP_FAILED) fail(path);
  read_all(STDIN_FILENO, slot, size); /* here a frame grabber would write */

  char request[1024];
  snprintf(request, sizeof request,
           "{\"type\":\"inspect\",\"request_id\":\"3\",\"pid\":\"%s\",\"shared_mem_id\":\"%s\",\"image_meta\":"
           "{\"width\":%d,\"height\":%d,\"timestamp_ms\":0,\"camera_id\":\"c-host\"},\"deadline_ms\":10000}",
           arguments[2], id, width, height);
  char *answer = ask(link, request);
  puts(answer);
  return strcmp(value_of(answer, "status"), "OK") == 0 ? 0 : 3;
}
