// SPDX-License-Identifier: Apache-2.0
// RequestReader: HTTP requests out of the bytes of a client, which come in any pieces and may be
// anything. Boost.Beast parses (RFC 9112), and this is the only place that includes it. Limits: a
// header of 8 KiB, a body of 4 KiB, of which nothing is used.
// Missing: HTTP/2, absolute targets ("GET http://…"), "Expect: 100-continue".
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "vmm/api/api_message.hpp"

namespace gpuvm {

/// Not synchronised.
class RequestReader {
 public:
  static constexpr std::size_t kMostHeader = 8192;
  static constexpr std::size_t kMostBody = 4096;

  enum class Progress {
    kMore,     ///< add() more bytes
    kRequest,  ///< request() is there; next() looks for the one after it
    kWrong,    ///< the rest cannot be read: answer with error() and close
  };

  RequestReader();
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Bytes that follow those before. After each, next() until it says kMore.
  void add(std::span<const std::byte> bytes);
  Progress next();

  const ApiRequest& request() const { return request_; }
  const ApiResponse& error() const { return error_; }
  /// True when nothing of a next request has come yet.
  bool is_idle() const { return !begun_ && pending_.empty(); }
  /// What came behind the last request, for a connection that goes on with another protocol.
  std::string take_rest();

 private:
  struct Parser;

  Progress parse();
  Progress complete();
  Progress wrong(int status, std::string_view text);

  std::unique_ptr<Parser> parser_;
  std::string pending_;  ///< added, not parsed
  bool begun_ = false;   ///< the parser has a part of a request
  ApiRequest request_;
  ApiResponse error_;
};

}  // namespace gpuvm
