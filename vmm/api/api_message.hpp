// SPDX-License-Identifier: Apache-2.0
// A request to the control socket and the answer to it, as values: what the parser makes, the
// router reads and the connection sends. HTTP/1.1 (RFC 9110, 9112).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gpuvm {

struct ApiRequest {
  std::string method = {};
  std::string path = {};       ///< of the target, without the query: "/v1/events"
  std::string query = {};      ///< without "?"
  bool keep_alive = false;     ///< the client may send another one
  bool is_http_1_1 = false;    ///< else 1.0, which knows no chunks
  bool wants_console = false;  ///< Connection: upgrade, Upgrade: gpuvm-console
};

struct ApiResponse {
  int status = 200;
  std::string content_type = {};  ///< empty: none, and no body
  std::string body = {};
  std::string allow = {};  ///< methods, for 405
};

constexpr std::string_view kJson = "application/json";

/// {"error":"…"}
ApiResponse error_response(int status, std::string_view text, std::string_view allow = {});

/// "Not Found"; "Unknown" for what this server never sends.
std::string_view reason_phrase(int status);

/// The answer as it goes over the socket. closes: the connection ends with it.
std::string to_text(const ApiResponse& response, bool closes);

/// The head of an answer that has no end of its own: in chunks, or until the connection closes.
std::string stream_head(std::string_view content_type, bool in_chunks);

/// What stands in a console's stream in the place of so many bytes: a line of its own.
std::string console_gap(std::uint64_t bytes);

/// "101 Switching Protocols" to gpuvm-console.
std::string console_head();

}  // namespace gpuvm
