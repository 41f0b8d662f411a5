// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/response_reader.hpp"

#include <utility>  // before Asio, see vmm/base/asio.hpp

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>

namespace gpuvm {

namespace beast = boost::beast;
namespace http = boost::beast::http;

/// Not in an unnamed namespace, since a member of ResponseReader::Parser has it.
namespace response_body {

/// As Beast's string_body, but that it reserves no memory for a length that the other side claims.
struct PieceBody {
  using value_type = std::string;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>& /*header*/, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& /*length*/, beast::error_code& error) {
      error = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, beast::error_code& error) {
      error = {};
      std::size_t size = 0;
      for (const boost::asio::const_buffer buffer : beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        size += buffer.size();
      }
      return size;
    }
    void finish(beast::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

}  // namespace response_body

namespace {

constexpr std::uint32_t kMostHeader = 16384;
constexpr std::string_view kBeginning = "HTTP/1.";

Error no_response(const std::string& reason) {
  return fail(ErrorKind::kHost, "The answer at the control socket is none of gpuvm: {}", reason);
}

}  // namespace

struct ResponseReader::Parser {
  http::response_parser<response_body::PieceBody> response;
};

ResponseReader::ResponseReader(std::optional<std::uint64_t> most_body)
    : parser_(std::make_unique<Parser>()) {
  parser_->response.eager(true);
  parser_->response.header_limit(kMostHeader);
  if (most_body) {
    parser_->response.body_limit(*most_body);
  } else {
    parser_->response.body_limit(boost::none);
  }
}

ResponseReader::~ResponseReader() = default;

Status ResponseReader::add(std::string_view bytes) {
  pending_ += bytes;
  // Beast would wait for the end of a header, whatever has come.
  if (!has_begun_) {
    const std::string_view begun = std::string_view(pending_).substr(0, kBeginning.size());
    if (!kBeginning.starts_with(begun)) {
      return no_response("it is not HTTP");
    }
    has_begun_ = begun.size() == kBeginning.size();
  }
  while (!pending_.empty() && !parser_->response.is_done()) {
    beast::error_code error;
    const std::size_t used =
        parser_->response.put(boost::asio::buffer(std::as_const(pending_)), error);
    pending_.erase(0, used);
    if (error == http::error::need_more || (!error && used == 0)) {
      break;
    }
    if (error) {
      return no_response(error.message());
    }
  }
  // What is left is the beginning of a line: Beast has no limit for those between chunks.
  if (!is_done() && pending_.size() > kMostHeader) {
    return no_response("a line of it is too long");
  }
  return {};
}

Status ResponseReader::end() {
  if (parser_->response.is_done()) {
    return {};
  }
  if (!parser_->response.got_some()) {
    return fail(ErrorKind::kHost,
                "The control socket was closed without an answer: the guest has ended, or it has "
                "as many connections as it takes");
  }
  beast::error_code error;
  parser_->response.put_eof(error);
  return error ? Status(fail(ErrorKind::kHost,
                             "The control socket was closed in the middle of an "
                             "answer: the guest has ended"))
               : Status();
}

bool ResponseReader::has_header() const {
  return parser_->response.is_header_done();
}

bool ResponseReader::is_done() const {
  return parser_->response.is_done();
}

unsigned ResponseReader::status() const {
  return has_header() ? parser_->response.get().result_int() : 0;
}

std::string ResponseReader::take_body() {
  return std::exchange(parser_->response.get().body(), {});
}

std::string ResponseReader::take_rest() {
  return std::exchange(pending_, {});
}

}  // namespace gpuvm
