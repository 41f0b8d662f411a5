// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/request_reader.hpp"

// Boost 1.74 with g++ 12 in C++20 mode needs <utility> first (vmm/base/asio.hpp).
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>

namespace gpuvm {

namespace http = boost::beast::http;

struct RequestReader::Parser {
  Parser() {
    parser.header_limit(kMostHeader);
    parser.body_limit(kMostBody);
    parser.eager(true);  // a body, too, before next() says that there is a request
  }
  http::request_parser<http::string_body> parser;
};

namespace {

constexpr unsigned kHttp10 = 10;
constexpr unsigned kHttp11 = 11;

std::string text_of(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

bool asks_for_console(const http::request<http::string_body>& message) {
  return http::token_list(message[http::field::connection]).exists("upgrade") &&
         boost::beast::iequals(message[http::field::upgrade], "gpuvm-console");
}

}  // namespace

RequestReader::RequestReader() = default;
RequestReader::~RequestReader() = default;

void RequestReader::add(std::span<const std::byte> bytes) {
  pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

RequestReader::Progress RequestReader::next() {
  if (error_.status != 200) {
    return Progress::kWrong;
  }
  if (!parser_) {
    parser_ = std::make_unique<Parser>();
    begun_ = false;
  }
  while (!pending_.empty()) {
    const std::size_t before = pending_.size();
    if (const Progress progress = parse(); progress != Progress::kMore) {
      return progress;
    }
    if (pending_.size() == before) {
      break;  // a part of a line
    }
  }
  // Beast has no limit for the lines between chunks, and none for what comes behind the last one.
  if (pending_.size() > kMostHeader) {
    return wrong(431, "A line of the request is too long: 8192 bytes are the most");
  }
  return Progress::kMore;
}

RequestReader::Progress RequestReader::parse() {
  boost::system::error_code error;
  const std::size_t taken =
      parser_->parser.put(boost::asio::buffer(pending_.data(), pending_.size()), error);
  begun_ = true;
  pending_.erase(0, taken);
  if (error == http::error::header_limit) {
    return wrong(431, "The request's header is too long: 8192 bytes are the most");
  }
  if (error == http::error::body_limit) {
    return wrong(413, "The request's body is too long: 4096 bytes are the most");
  }
  if (error && error != http::error::need_more) {
    return wrong(400, "This is no HTTP request: " + error.message());
  }
  return parser_->parser.is_done() ? complete() : Progress::kMore;
}

RequestReader::Progress RequestReader::complete() {
  const auto& message = parser_->parser.get();
  if (message.version() != kHttp10 && message.version() != kHttp11) {
    return wrong(400, "This is no request of HTTP/1.0 or HTTP/1.1");
  }
  const std::string target = text_of(message.target());
  if (!target.starts_with('/')) {
    return wrong(400, "The request's target must be a path that begins with \"/\"");
  }
  const auto question = std::min(target.find('?'), target.size());
  request_ = ApiRequest();
  request_.method = text_of(message.method_string());
  request_.path = target.substr(0, question);
  request_.query = target.substr(std::min(question + 1, target.size()));
  request_.keep_alive = message.keep_alive();
  request_.is_http_1_1 = message.version() == kHttp11;
  request_.wants_console = asks_for_console(message);
  parser_.reset();
  begun_ = false;
  return Progress::kRequest;
}

RequestReader::Progress RequestReader::wrong(int status, std::string_view text) {
  error_ = error_response(status, text);
  parser_.reset();
  pending_.clear();
  return Progress::kWrong;
}

std::string RequestReader::take_rest() {
  return std::exchange(pending_, {});
}

}  // namespace gpuvm
