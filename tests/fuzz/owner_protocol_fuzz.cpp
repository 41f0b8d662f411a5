// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what a monitor that its guest has taken over sends its owner
// (docs/security-inside.md). The input is packets: 16 bits of length, 8 bits that say how many
// descriptors go with it (bits 0 to 2) and of which kind (bit 6: a sealed memory file, else a
// pipe), then bytes. What must hold: a packet that is taken is one that we could have sent; nothing
// is handed over once the guest runs, and nothing else before; the owner is asked about nothing but
// what was handed over, and cards that its configuration names; no descriptor is left.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "vmm/owner/card_files.hpp"
#include "vmm/owner/journal_relay.hpp"
#include "vmm/owner/notify_relay.hpp"
#include "vmm/owner/owner_messages.hpp"
#include "vmm/owner/owner_server.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm {
namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

/// Knows what may be asked of it.
class StrictOwner final : public Owner {
 public:
  Status hold_function(const HeldFunction& function, UniqueFd, UniqueFd) override {
    require(!has_guest_, "a function is held before the guest");
    require(function.bdf.device < 32 && function.bdf.function < 8, "an address");
    functions_.insert(function.bdf);
    return {};
  }
  Status hold_state(const std::string& name, UniqueFd file) override {
    require(!has_guest_ && file, "a state is held before the guest, with its file");
    require(name.find('/') == std::string::npos && name.front() != '.', "a name is no path");
    return {};
  }
  Result<std::uint32_t> declare_file(const std::string& path, FileUse use) override {
    require(!has_guest_, "a file is declared before the guest");
    require(path.starts_with('/') && path.find('\0') == std::string::npos, "a path is absolute");
    uses_.push_back(use);
    return static_cast<std::uint32_t>(uses_.size() - 1);
  }
  Status guest_runs() override {
    require(!has_guest_, "the guest runs once");
    has_guest_ = true;
    return {};
  }
  Status mark_failed(const Bdf& function, std::string_view reason) override {
    require(reason.size() <= owner::kMostReason, "the length of a reason");
    return ask_about(function);
  }
  Status check_link(const Bdf& function) override { return ask_about(function); }
  Status retrain_link(const Bdf& function) override { return ask_about(function); }
  Status replace_file(std::uint32_t file, std::span<const std::byte> contents) override {
    require(has_guest_ && file < uses_.size() && uses_[file] == FileUse::kReplace,
            "a file to replace");
    require(contents.size() <= OwnerServer::kMostContents, "the size of contents");
    return {};
  }
  Result<UniqueFd> open_file(std::uint32_t file) override {
    require(has_guest_ && file < uses_.size() && uses_[file] == FileUse::kRead, "a file to read");
    return UniqueFd(::dup(STDERR_FILENO));
  }
  Status take_card(std::uint32_t card) override { return begin(card); }
  Status give_back_card(std::uint32_t card) override { return begin(card); }
  Result<bool> is_card_idle(std::uint32_t card) override {
    TRY(begin(card));
    return true;
  }
  /// Of any value: the address of a function is one that may be asked about from then on.
  Result<CardFile> card_file(std::uint32_t card, CardFileKind kind, std::uint32_t index) override {
    TRY(begin(card));
    require(kind <= CardFileKind::kResource, "a kind of file");
    CardFile file;
    file.file.reset(::dup(STDERR_FILENO));
    file.value = index;
    if (kind == CardFileKind::kConfig) {
      functions_.insert(card_address(index));
    }
    return file;
  }

  static constexpr std::uint32_t kCards = 2;

 private:
  Status begin(std::uint32_t card) const {
    require(has_guest_ && card < kCards, "a card of the configuration, of a guest");
    return {};
  }
  Status ask_about(const Bdf& function) const {
    require(has_guest_ && functions_.contains(function), "a function that is held, of a guest");
    return fail(ErrorKind::kHost, "No");
  }
  bool has_guest_ = false;
  std::set<Bdf> functions_;
  std::vector<FileUse> uses_;
};

void check_packet(std::span<const std::byte> packet) {
  if (const auto decoded = owner::decode(packet)) {
    const auto again = owner::encode(decoded->number, decoded->request);
    require(std::equal(again.begin(), again.end(), packet.begin(), packet.end()),
            "what is taken is what we could have sent");
    require(owner::descriptors_of(decoded->request) <= owner::kMostFds, "so many descriptors");
  }
  if (const auto answer = owner::decode_answer(packet)) {
    require(answer->text.size() <= owner::kMostText, "the length of an answer");
  }
  const std::string_view text(reinterpret_cast<const char*>(packet.data()), packet.size());
  require(allowed_notification(text).find("MAINPID") != 0, "no notification of another process");
  if (is_allowed_journal_entry(text, {.guest = "main", .message_ids = {"0123"}})) {
    require(text.back() == '\n' && text.find("OBJECT_") != 0, "an entry is whole and gpuvm's");
  }
}

/// The lowest descriptor that is free.
int lowest_free() {
  return UniqueFd(::dup(STDERR_FILENO)).get();
}

/// Until a violation; answers are fetched.
void play(std::span<const std::byte> input) {
  const std::array<std::byte, 5> contents{};
  const UniqueFd sealed = owner::sealed_file(contents).value();
  std::array<int, 2> ends{-1, -1};
  require(::pipe2(ends.data(), O_CLOEXEC) == 0, "a pipe");
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  auto sockets = owner::SocketPair::create().value();
  StrictOwner duties;
  OwnerServer::Clock::time_point now{};
  OwnerServer server(
      duties, std::move(sockets.owner), [&now] { return now; }, StrictOwner::kCards);
  const int free_before = lowest_free();
  while (input.size() >= 3) {
    const auto size = std::min<std::size_t>(
        std::to_integer<std::size_t>(input[0]) | std::to_integer<std::size_t>(input[1]) << 8,
        input.size() - 3);
    const auto count =
        std::min<std::size_t>(std::to_integer<unsigned>(input[2]) & 7, owner::kMostFds);
    const bool is_sealed = (std::to_integer<unsigned>(input[2]) & 0x40) != 0;
    const std::array<int, owner::kMostFds> fds{is_sealed ? sealed.get() : out.get(), in.get()};
    const auto packet = input.subspan(3, size);
    input = input.subspan(3 + size);
    if (packet.empty()) {
      continue;
    }
    check_packet(packet);
    require(owner::send_packet(sockets.monitor.get(), packet, std::span(fds).first(count)) ==
                owner::SendOutcome::kSent,
            "a packet is sent");
    now += std::chrono::seconds(1);
    const auto outcome = server.serve();
    require(outcome == OwnerServer::Outcome::kServed || outcome == OwnerServer::Outcome::kViolation,
            "a packet is served or a violation");
    if (outcome == OwnerServer::Outcome::kViolation) {
      require(!server.violation().empty(), "a violation has a reason");
      break;
    }
    owner::Packet answer;
    require(
        owner::receive_packet(sockets.monitor.get(), answer) == owner::ReceiveOutcome::kReceived,
        "an answer");
    require(owner::decode_answer(answer.bytes).has_value(), "an answer that can be read");
  }
  require(lowest_free() == free_before, "no descriptor is left");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::play(std::as_bytes(std::span(data, size)));
  return 0;
}
