// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_messages.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "vmm/base/bytes.hpp"

namespace gpuvm::owner {
namespace {

static_assert(sizeof(Header) == 16);

/// Kinds on the wire: a request's place in the variant and 1; 0 is nothing, and this an answer.
constexpr std::uint16_t kAnswerKind = 0x8000;

// Bits of HoldFunction.
constexpr std::uint8_t kHasClaim = 1;
constexpr std::uint8_t kHasBinding = 2;
constexpr std::uint8_t kIsResized = 4;
constexpr std::uint8_t kHasMethod = 8;
constexpr std::uint8_t kHasSettle = 16;
constexpr std::uint8_t kAllBits = 31;

/// No rest after a reset is longer (pci.reset_wait).
constexpr std::uint32_t kLongestSettle = 3'600'000;

/// Kinds of errors on the wire; 0: none.
constexpr std::array kErrorKinds{
    ErrorKind::kUsage,    ErrorKind::kHost,  ErrorKind::kWrongState,   ErrorKind::kCancelled,
    ErrorKind::kInternal, ErrorKind::kGuest, ErrorKind::kUnsafeDevice, ErrorKind::kConfig};

class Writer {
 public:
  template <class T>
  void number(T value) {
    std::array<std::byte, sizeof(T)> bytes{};
    store_le(bytes, value);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void text(std::string_view text, std::size_t most) {
    text = text.substr(0, most);
    number(static_cast<std::uint16_t>(text.size()));
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> packet(std::uint16_t kind, std::uint32_t number) const {
    Writer whole;
    whole.number(kMagic);
    whole.number(kind);
    whole.number(std::uint16_t{0});
    whole.number(number);
    whole.number(static_cast<std::uint32_t>(bytes_.size()));
    whole.bytes_.insert(whole.bytes_.end(), bytes_.begin(), bytes_.end());
    return std::move(whole.bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads from the front. What does not fit makes it fail for good, and yields nothing.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class T>
  T number() {
    return static_cast<T>(load_le(take(sizeof(T))));
  }
  std::string text(std::size_t most) {
    const auto size = number<std::uint16_t>();
    if (size > most) {
      has_failed_ = true;
    }
    const auto bytes = take(size);
    std::string text;
    for (const std::byte byte : bytes) {
      text.push_back(static_cast<char>(byte));
    }
    return text;
  }
  std::span<const std::byte> take(std::size_t size) {
    if (has_failed_ || size > rest_.size()) {
      has_failed_ = true;
      return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::size_t left() const { return rest_.size(); }
  /// Everything was there, and nothing more.
  bool is_at_end() const { return !has_failed_ && rest_.empty(); }
  bool has_failed() const { return has_failed_; }

 private:
  std::span<const std::byte> rest_;
  bool has_failed_ = false;
};

Error malformed(std::string_view what) {
  return fail(ErrorKind::kGuest, "{}", what);
}

struct BodyWriter {
  Writer& out;

  void operator()(const HoldFunction& hold) const {
    const HeldFunction& function = hold.function;
    out.number(function.bdf.segment);
    out.number(function.bdf.bus);
    out.number(function.bdf.devfn());
    out.number(static_cast<std::uint8_t>(
        (hold.has_claim ? kHasClaim : 0) | (hold.has_binding ? kHasBinding : 0) |
        (function.is_resized ? kIsResized : 0) | (function.reset_method ? kHasMethod : 0) |
        (function.settle ? kHasSettle : 0)));
    out.number(function.reset_method.value_or(0));
    out.number(function.link_width);
    const auto settle = function.settle.value_or(std::chrono::milliseconds(0)).count();
    out.number(static_cast<std::uint32_t>(std::clamp<std::int64_t>(settle, 0, kLongestSettle)));
    out.text(function.vf_token, kMostToken);
  }
  void operator()(const HoldState& hold) const { out.text(hold.name, kMostName); }
  void operator()(const DeclareFile& declare) const {
    out.number(static_cast<std::uint8_t>(declare.use));
    out.text(declare.path, kMostPath);
  }
  void operator()(const GuestRuns&) const {}
  void operator()(const MarkFailed& mark) const {
    out.number(mark.function);
    out.text(mark.reason, kMostReason);
  }
  void operator()(const CheckLink& check) const { out.number(check.function); }
  void operator()(const RetrainLink& retrain) const { out.number(retrain.function); }
  void operator()(const ReplaceFile& replace) const { out.number(replace.file); }
  void operator()(const OpenFile& open) const { out.number(open.file); }
  void operator()(const TakeCard& take) const { out.number(take.card); }
  void operator()(const GiveBackCard& give) const { out.number(give.card); }
  void operator()(const AskCard& ask) const { out.number(ask.card); }
  void operator()(const FetchCardFile& fetch) const {
    out.number(fetch.card);
    out.number(static_cast<std::uint8_t>(fetch.kind));
    out.number(fetch.index);
  }
};

HoldFunction read_body(Reader& in, std::type_identity<HoldFunction>, std::string& wrong) {
  HoldFunction hold;
  hold.function.bdf.segment = in.number<std::uint16_t>();
  hold.function.bdf.bus = in.number<std::uint8_t>();
  const auto devfn = in.number<std::uint8_t>();
  hold.function.bdf.device = static_cast<std::uint8_t>(devfn >> 3);
  hold.function.bdf.function = static_cast<std::uint8_t>(devfn & 7);
  const auto bits = in.number<std::uint8_t>();
  const auto method = in.number<std::uint8_t>();
  hold.function.link_width = in.number<std::uint8_t>();
  const auto settle = in.number<std::uint32_t>();
  hold.function.vf_token = in.text(kMostToken);
  hold.has_claim = (bits & kHasClaim) != 0;
  hold.has_binding = (bits & kHasBinding) != 0;
  hold.function.is_resized = (bits & kIsResized) != 0;
  if ((bits & kHasMethod) != 0) {
    hold.function.reset_method = method;
  }
  if ((bits & kHasSettle) != 0) {
    hold.function.settle = std::chrono::milliseconds(settle);
  }
  // One way to say each thing.
  const bool has_more = (bits & ~kAllBits) != 0 || ((bits & kHasMethod) == 0 && method != 0) ||
                        ((bits & kHasSettle) == 0 && settle != 0) || settle > kLongestSettle;
  if (has_more) {
    wrong = "a function with bits or numbers that mean nothing";
  }
  return hold;
}

HoldState read_body(Reader& in, std::type_identity<HoldState>, std::string& wrong) {
  HoldState hold{.name = in.text(kMostName)};
  if (!is_state_name(hold.name)) {
    wrong = "a name of a state file that is none";
  }
  return hold;
}

DeclareFile read_body(Reader& in, std::type_identity<DeclareFile>, std::string& wrong) {
  DeclareFile declare;
  const auto use = in.number<std::uint8_t>();
  declare.path = in.text(kMostPath);
  declare.use = use == 0 ? FileUse::kReplace : FileUse::kRead;
  if (use > 1) {
    wrong = "a file for an unknown use";
  }
  if (!declare.path.starts_with('/') || declare.path.find('\0') != std::string::npos) {
    wrong = "a path that is not absolute";
  }
  return declare;
}

GuestRuns read_body(Reader&, std::type_identity<GuestRuns>, std::string&) {
  return {};
}

MarkFailed read_body(Reader& in, std::type_identity<MarkFailed>, std::string&) {
  MarkFailed mark;
  mark.function = in.number<std::uint32_t>();
  mark.reason = in.text(kMostReason);
  return mark;
}

CheckLink read_body(Reader& in, std::type_identity<CheckLink>, std::string&) {
  return {.function = in.number<std::uint32_t>()};
}

RetrainLink read_body(Reader& in, std::type_identity<RetrainLink>, std::string&) {
  return {.function = in.number<std::uint32_t>()};
}

ReplaceFile read_body(Reader& in, std::type_identity<ReplaceFile>, std::string&) {
  return {.file = in.number<std::uint32_t>()};
}

OpenFile read_body(Reader& in, std::type_identity<OpenFile>, std::string&) {
  return {.file = in.number<std::uint32_t>()};
}

TakeCard read_body(Reader& in, std::type_identity<TakeCard>, std::string&) {
  return {.card = in.number<std::uint32_t>()};
}

GiveBackCard read_body(Reader& in, std::type_identity<GiveBackCard>, std::string&) {
  return {.card = in.number<std::uint32_t>()};
}

AskCard read_body(Reader& in, std::type_identity<AskCard>, std::string&) {
  return {.card = in.number<std::uint32_t>()};
}

FetchCardFile read_body(Reader& in, std::type_identity<FetchCardFile>, std::string& wrong) {
  FetchCardFile fetch;
  fetch.card = in.number<std::uint32_t>();
  const auto kind = in.number<std::uint8_t>();
  fetch.index = in.number<std::uint32_t>();
  if (kind > static_cast<std::uint8_t>(CardFileKind::kResource)) {
    wrong = "a file of a card of an unknown kind";
    return fetch;
  }
  fetch.kind = static_cast<CardFileKind>(kind);
  return fetch;
}

/// The alternative of the variant that the kind names.
template <std::size_t Index = 0>
Result<Request> read_request(std::size_t kind, Reader& in) {
  if constexpr (Index == std::variant_size_v<Request>) {
    return malformed("a request of an unknown kind");
  } else {
    if (kind != Index + 1) {
      return read_request<Index + 1>(kind, in);
    }
    std::string wrong;
    Request request =
        read_body(in, std::type_identity<std::variant_alternative_t<Index, Request>>(), wrong);
    if (!in.is_at_end()) {
      return malformed("a request whose length is not that of its kind");
    }
    return wrong.empty() ? Result<Request>(std::move(request)) : malformed(wrong);
  }
}

/// The header; `in` is behind it, and has as much as it says.
Result<Header> read_header(Reader& in) {
  Header header;
  header.magic = in.number<std::uint32_t>();
  header.kind = in.number<std::uint16_t>();
  header.reserved = in.number<std::uint16_t>();
  header.number = in.number<std::uint32_t>();
  header.size = in.number<std::uint32_t>();
  if (in.has_failed() || header.magic != kMagic || header.reserved != 0) {
    return malformed("a packet without the header of a message");
  }
  if (header.size > kMostBody || header.size != in.left()) {
    return malformed("a packet whose length is not what its header says");
  }
  return header;
}

}  // namespace

bool is_state_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':';
  };
  return !name.empty() && name.size() <= kMostName && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::vector<std::byte> encode(std::uint32_t number, const Request& request) {
  Writer body;
  std::visit(BodyWriter{body}, request);
  return body.packet(static_cast<std::uint16_t>(request.index() + 1), number);
}

Result<NumberedRequest> decode(std::span<const std::byte> packet) {
  Reader in(packet);
  const Header header = TRY(read_header(in));
  NumberedRequest numbered;
  numbered.number = header.number;
  numbered.request = TRY(read_request(header.kind, in));
  return numbered;
}

std::size_t descriptors_of(const Request& request) {
  if (const auto* const hold = std::get_if<HoldFunction>(&request)) {
    return (hold->has_claim ? 1U : 0U) + (hold->has_binding ? 1U : 0U);
  }
  const bool has_one =
      std::holds_alternative<HoldState>(request) || std::holds_alternative<ReplaceFile>(request);
  return has_one ? 1 : 0;
}

bool is_before_guest(const Request& request) {
  return std::holds_alternative<HoldFunction>(request) ||
         std::holds_alternative<HoldState>(request) ||
         std::holds_alternative<DeclareFile>(request) || std::holds_alternative<GuestRuns>(request);
}

std::vector<std::byte> encode(const Answer& answer) {
  Writer body;
  std::uint8_t error = 0;
  for (std::size_t i = 0; answer.error && i < kErrorKinds.size(); ++i) {
    if (kErrorKinds.at(i) == *answer.error) {
      error = static_cast<std::uint8_t>(i + 1);
    }
  }
  body.number(error);
  body.number(answer.value);
  body.text(answer.text, kMostText);
  return body.packet(kAnswerKind, answer.number);
}

Result<Answer> decode_answer(std::span<const std::byte> packet) {
  Reader in(packet);
  const auto header = read_header(in);
  Answer answer;
  const auto error = in.number<std::uint8_t>();
  answer.value = in.number<std::uint32_t>();
  answer.text = in.text(kMostText);
  if (!header || header->kind != kAnswerKind || !in.is_at_end() || error > kErrorKinds.size()) {
    return fail(ErrorKind::kInternal, "The owner's answer is none");
  }
  answer.number = header->number;
  if (error != 0) {
    answer.error = kErrorKinds.at(error - 1U);
  }
  return answer;
}

}  // namespace gpuvm::owner
