// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/api_message.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 12> kReasonPhrases{
    {{101, "Switching Protocols"},
     {200, "OK"},
     {204, "No Content"},
     {400, "Bad Request"},
     {403, "Forbidden"},
     {404, "Not Found"},
     {405, "Method Not Allowed"},
     {409, "Conflict"},
     {413, "Content Too Large"},
     {431, "Request Header Fields Too Large"},
     {500, "Internal Server Error"},
     {503, "Service Unavailable"}}};

}  // namespace

std::string_view reason_phrase(int status) {
  for (const auto& [number, phrase] : kReasonPhrases) {
    if (number == status) {
      return phrase;
    }
  }
  return "Unknown";
}

ApiResponse error_response(int status, std::string_view text, std::string_view allow) {
  const nlohmann::json body{{"error", text}};
  ApiResponse response;
  response.status = status;
  response.content_type = kJson;
  // Parts of the text may be a client's, and no UTF-8.
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  response.allow = allow;
  return response;
}

std::string to_text(const ApiResponse& response, bool closes) {
  auto text = fmt::format("HTTP/1.1 {} {}\r\nServer: gpuvm\r\nCache-Control: no-store\r\n",
                          response.status, reason_phrase(response.status));
  if (!response.allow.empty()) {
    text += fmt::format("Allow: {}\r\n", response.allow);
  }
  if (!response.content_type.empty()) {
    text += fmt::format("Content-Type: {}\r\n", response.content_type);
  }
  if (response.status != 204) {  // RFC 9110, 8.6: none with 204
    text += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  text += fmt::format("Connection: {}\r\n\r\n", closes ? "close" : "keep-alive");
  return text + response.body;
}

std::string stream_head(std::string_view content_type, bool in_chunks) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nServer: gpuvm\r\nCache-Control: no-store\r\nContent-Type: {}\r\n"
      "{}Connection: close\r\n\r\n",
      content_type, in_chunks ? "Transfer-Encoding: chunked\r\n" : "");
}

std::string console_head() {
  return "HTTP/1.1 101 Switching Protocols\r\nServer: gpuvm\r\nUpgrade: gpuvm-console\r\n"
         "Connection: Upgrade\r\n\r\n";
}

std::string console_gap(std::uint64_t bytes) {
  return fmt::format(
      "\r\n[gpuvm: {} bytes are left out here: they came faster than they were read]\r\n", bytes);
}

}  // namespace gpuvm
