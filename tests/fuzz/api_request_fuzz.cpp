// SPDX-License-Identifier: Apache-2.0
// Bytes of a client of the control socket, made of the input, up to the route that they ask for.
// Byte 0: how many bytes come at a time. What must hold: pieces make no difference to requests, a
// request is a path of a bounded length, what is wrong has a status that the server sends, an end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "vmm/api/request_reader.hpp"
#include "vmm/api/router.hpp"

namespace gpuvm {
namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

/// Of a request: what it is answered with.
std::string outcome_of(const ApiRequest& request) {
  require(request.path.starts_with('/'), "the path of a request");
  require(request.path.size() + request.query.size() + request.method.size() <=
              RequestReader::kMostHeader,
          "the length of a request");
  const RouteMatch match = match_route(request);
  const int status = match.route == nullptr ? match.error.status : 200;
  require(reason_phrase(status) != "Unknown", "the status of a route");
  return request.method + " " + request.path + " " + request.query + " " + std::to_string(status);
}

std::vector<std::string> outcomes_of(std::span<const std::byte> bytes, std::size_t piece) {
  std::vector<std::string> outcomes;
  RequestReader reader;
  while (!bytes.empty()) {
    const auto size = std::min(bytes.size(), piece);
    reader.add(bytes.first(size));
    bytes = bytes.subspan(size);
    auto progress = reader.next();
    for (; progress == RequestReader::Progress::kRequest; progress = reader.next()) {
      outcomes.push_back(outcome_of(reader.request()));
    }
    if (progress == RequestReader::Progress::kWrong) {
      require(reader.error().status == 400 || reader.error().status == 413 ||
                  reader.error().status == 431,
              "the status of what is wrong");
      break;  // in pieces that may be seen later, or not at all: Beast waits for the header's end
    }
  }
  return outcomes;
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) {
    return 0;
  }
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  gpuvm::require(
      gpuvm::outcomes_of(bytes, 1U + data[0]) == gpuvm::outcomes_of(bytes, bytes.size() + 1),
      "pieces make no difference");
  return 0;
}
