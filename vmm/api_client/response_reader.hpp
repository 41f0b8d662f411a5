// SPDX-License-Identifier: Apache-2.0
// ResponseReader: one HTTP/1.1 response (RFC 9112) out of the bytes of a control socket, which come
// in any pieces and may be anything. Boost.Beast parses, and its .cpp is the only place of this
// room that includes it. A header has at most 16 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// Not synchronised.
class ResponseReader {
 public:
  /// `most_body`: bytes of the body in all; nothing for one without end, which is taken in pieces.
  explicit ResponseReader(std::optional<std::uint64_t> most_body);
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  /// Bytes that follow those before. Errors: kHost, where they are no response or a limit is hit;
  /// nothing can be added then.
  Status add(std::string_view bytes);
  /// No more will come. Errors: kHost, where the response is not complete.
  Status end();

  bool has_header() const;
  bool is_done() const;
  /// 0 before the header is there.
  unsigned status() const;
  /// What has come of the body since the last call.
  std::string take_body();
  /// What came behind the response: the first bytes of the protocol that a 101 has changed to.
  std::string take_rest();

 private:
  struct Parser;

  std::unique_ptr<Parser> parser_;
  std::string pending_;     ///< added, not parsed
  bool has_begun_ = false;  ///< as HTTP does
};

}  // namespace gpuvm
