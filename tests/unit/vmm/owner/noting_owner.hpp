// SPDX-License-Identifier: Apache-2.0
// NotingOwner: an Owner that notes what it is asked for, and does none of it but opening files.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vmm/owner/owner.hpp"

namespace gpuvm::test {

class NotingOwner final : public Owner {
 public:
  Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) override {
    return note(fmt::format("hold {}{}{}", function.bdf.to_string(), claim ? " claim" : "",
                            binding ? " binding" : ""));
  }
  Status hold_state(const std::string& name, UniqueFd file) override {
    return note(fmt::format("state {}{}", name, file ? "" : " without a file"));
  }
  Result<std::uint32_t> declare_file(const std::string& path, FileUse use) override {
    TRY(note(fmt::format("declare {}{}", path, use == FileUse::kRead ? " to read" : "")));
    paths_.push_back(path);
    return static_cast<std::uint32_t>(paths_.size() + 99);
  }
  Status guest_runs() override { return note("guest runs"); }
  Status mark_failed(const Bdf& function, std::string_view reason) override {
    return note(fmt::format("failed {}: {}", function.to_string(), reason));
  }
  Status check_link(const Bdf& function) override { return note("check " + function.to_string()); }
  Status retrain_link(const Bdf& function) override {
    return note("retrain " + function.to_string());
  }
  Status replace_file(std::uint32_t file, std::span<const std::byte> contents) override {
    return note(fmt::format("replace {} by {} bytes", file, contents.size()));
  }
  Result<UniqueFd> open_file(std::uint32_t file) override {
    TRY(note(fmt::format("open {}", file)));
    UniqueFd opened(::open(paths_.at(file - 100).c_str(), O_RDONLY | O_CLOEXEC));
    return opened ? std::move(opened) : UniqueFd(::dup(STDERR_FILENO));
  }

  Status take_card(std::uint32_t card) override { return note(fmt::format("take card {}", card)); }
  Status give_back_card(std::uint32_t card) override {
    return note(fmt::format("give back card {}", card));
  }
  Result<bool> is_card_idle(std::uint32_t card) override {
    TRY(note(fmt::format("ask card {}", card)));
    return busy == 0 || --busy == 0;
  }
  Result<CardFile> card_file(std::uint32_t card, CardFileKind kind, std::uint32_t index) override {
    TRY(note(fmt::format("card {} file {}.{}", card, static_cast<unsigned>(kind), index)));
    CardFile file;
    file.file.reset(::dup(STDERR_FILENO));
    const auto found = values.find({kind, index});
    file.value = found == values.end() ? 0 : found->second;
    return file;
  }

  unsigned busy = 0;  ///< so many questions find the card at work
  std::map<std::pair<CardFileKind, std::uint32_t>, std::uint32_t> values;  ///< of a card's files
  std::vector<std::string> notes;
  std::map<std::string, Error> refused;  ///< by note

 private:
  Status note(const std::string& text) {
    notes.push_back(text);
    const auto found = refused.find(text);
    return found == refused.end() ? Status() : Status(Error(found->second));
  }
  std::vector<std::string> paths_;  ///< of files, from number 100 on
};

inline HeldFunction held(const std::string& bdf) {
  HeldFunction function;
  function.bdf = Bdf::parse(bdf).value();
  return function;
}

}  // namespace gpuvm::test
