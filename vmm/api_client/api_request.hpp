// SPDX-License-Identifier: Apache-2.0
// Requests to a guest's control socket: what is asked, and what comes back within limits of time
// and size. The other side is taken for hostile: any process may listen at a socket's path.
// Missing: a second request on a connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/api_client/response_reader.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct ApiAnswer {
  unsigned status = 0;  ///< of HTTP
  std::string body = {};
};

struct ApiLimits {
  std::chrono::milliseconds time{30000};         ///< until the whole answer is there
  std::uint64_t body = std::uint64_t{16} << 20;  ///< bytes
};

/// `connection` is one of connect_to_guest(), and has not been used. `method` and `target` are our
/// own, and not checked. All of these block. Errors: kHost, where there is no whole answer within
/// the limits; an answer of any status is one.
Result<ApiAnswer> ask(const UniqueFd& connection, std::string_view method, std::string_view target,
                      const ApiLimits& limits = {});
/// ask() in two parts, for questions to several guests at once.
Status send_request(const UniqueFd& connection, std::string_view method, std::string_view target,
                    std::chrono::milliseconds limit);
Result<ApiAnswer> receive_answer(const UniqueFd& connection, const ApiLimits& limits);

struct LineOptions {
  std::chrono::milliseconds first_answer{30000};        ///< until the header is there
  std::optional<std::chrono::milliseconds> quiet = {};  ///< end after a silence as long as this
  std::size_t longest_line = std::size_t{1} << 20;      ///< bytes
};

/// GET of a stream of lines: `on_line` gets each without its line feed, until it returns false, the
/// stream ends, or is quiet. What is after the last line feed is no line. The answer's status is
/// not 200: none of that, and the body is text (at most 64 KiB). Errors: as above, and a line that
/// is too long.
Result<ApiAnswer> read_lines(const UniqueFd& connection, std::string_view target,
                             const LineOptions& options,
                             const std::function<bool(std::string_view)>& on_line);

/// The connection speaks another protocol from here on where the status is 101, and `body` is what
/// has come of it already.
Result<ApiAnswer> upgrade(const UniqueFd& connection, std::string_view target,
                          std::string_view protocol, std::chrono::milliseconds limit);

/// What the guest said where a request was refused: {"error": "…"}, else the status alone. One
/// line. kWrongState for 409, else kHost.
Error refusal(const ApiAnswer& answer, std::string_view guest);

}  // namespace gpuvm
