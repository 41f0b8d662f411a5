// SPDX-License-Identifier: Apache-2.0
// The messages between monitor and owner as bytes (docs/security-inside.md). Whatever arrives is
// the work of a monitor that its guest may have taken over: decode() takes a message only as a
// whole, with nothing left over, and each text within its limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm::owner {

/// Before each message; numbers are little-endian.
struct Header {
  std::uint32_t magic = 0;
  std::uint16_t kind = 0;
  std::uint16_t reserved = 0;  ///< 0
  std::uint32_t number = 0;    ///< of the request; its answer has the same
  std::uint32_t size = 0;      ///< bytes that follow
};
inline constexpr std::uint32_t kMagic = 0x31776f67;  // "gow1"
inline constexpr std::size_t kMostBody = 6144;
inline constexpr std::size_t kMostMessage = sizeof(Header) + kMostBody;
inline constexpr std::size_t kMostFds = 2;

// Limits of texts, in bytes.
inline constexpr std::size_t kMostPath = 4096;
inline constexpr std::size_t kMostName = 128;
inline constexpr std::size_t kMostToken = 64;
inline constexpr std::size_t kMostReason = 1024;
inline constexpr std::size_t kMostText = 4096;

struct HoldFunction {
  HeldFunction function;
  bool has_claim = false;    ///< its descriptor goes along
  bool has_binding = false;  ///< likewise, behind that
  bool operator==(const HoldFunction&) const = default;
};
/// Its descriptor goes along.
struct HoldState {
  std::string name;  ///< letters, digits, ".", "-", "_" and ":", not beginning with "."
  bool operator==(const HoldState&) const = default;
};
struct DeclareFile {
  std::string path;  ///< absolute, without NUL
  FileUse use = FileUse::kReplace;
  bool operator==(const DeclareFile&) const = default;
};
struct GuestRuns {
  bool operator==(const GuestRuns&) const = default;
};
/// Functions and files are numbered from 0 in the order in which they were handed over.
struct MarkFailed {
  std::uint32_t function = 0;
  std::string reason;
  bool operator==(const MarkFailed&) const = default;
};
struct CheckLink {
  std::uint32_t function = 0;
  bool operator==(const CheckLink&) const = default;
};
struct RetrainLink {
  std::uint32_t function = 0;
  bool operator==(const RetrainLink&) const = default;
};
/// The new contents go along, as a sealed memory file.
struct ReplaceFile {
  std::uint32_t file = 0;
  bool operator==(const ReplaceFile&) const = default;
};
/// The answer has its descriptor.
struct OpenFile {
  std::uint32_t file = 0;
  bool operator==(const OpenFile&) const = default;
};

/// Cards are numbered as in the owner's configuration.
struct TakeCard {
  std::uint32_t card = 0;
  bool operator==(const TakeCard&) const = default;
};
struct GiveBackCard {
  std::uint32_t card = 0;
  bool operator==(const GiveBackCard&) const = default;
};
/// The answer's value is 1 where it is idle.
struct AskCard {
  std::uint32_t card = 0;
  bool operator==(const AskCard&) const = default;
};
/// The answer has its descriptor and its value. With kConfig the function gets the next number,
/// unless it has one.
struct FetchCardFile {
  std::uint32_t card = 0;
  CardFileKind kind = CardFileKind::kContainer;
  std::uint32_t index = 0;
  bool operator==(const FetchCardFile&) const = default;
};

using Request = std::variant<HoldFunction, HoldState, DeclareFile, GuestRuns, MarkFailed, CheckLink,
                             RetrainLink, ReplaceFile, OpenFile, TakeCard, GiveBackCard, AskCard,
                             FetchCardFile>;

struct NumberedRequest {
  std::uint32_t number = 0;
  Request request;
};

/// One packet. Texts longer than their limits are cut. `number` is the caller's.
std::vector<std::byte> encode(std::uint32_t number, const Request& request);
/// Errors: kGuest, what is wrong with the packet.
Result<NumberedRequest> decode(std::span<const std::byte> packet);
/// How many descriptors go with a request.
std::size_t descriptors_of(const Request& request);
/// Whether a request belongs to the time before the guest's first instruction.
bool is_before_guest(const Request& request);
/// Whether the name is one that decode() lets pass.
bool is_state_name(std::string_view name);

struct Answer {
  std::uint32_t number = 0;
  std::optional<ErrorKind> error = {};  ///< nothing: it is done
  std::uint32_t value = 0;              ///< of a declared file, or of a card
  std::string text = {};                ///< of an error
  bool operator==(const Answer&) const = default;
};
std::vector<std::byte> encode(const Answer& answer);
/// Errors: kInternal.
Result<Answer> decode_answer(std::span<const std::byte> packet);

}  // namespace gpuvm::owner
