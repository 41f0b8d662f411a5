// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/call_log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/base/log.hpp"

namespace gpuvm::sandbox {
namespace {

std::string_view word_of(Use use) {
  return use == Use::kAlways ? "always" : use == Use::kRare ? "rare" : "until-owner";
}

std::string_view role_name(std::uint32_t role) {
  return role < kAllRoles.size() ? to_string(kAllRoles[role]) : "unknown";
}

std::string unlisted_lines(const TrapSetup& setup) {
  std::string text;
  for (const UnlistedNote& note : setup.notes->unlisted) {
    if (const auto count = note.count.load(std::memory_order_acquire); count > 0) {
      text += fmt::format("unlisted\t{}\t{}\t{}\t{:#x}\t{}\n", role_name(note.role),
                          setup.names.of(static_cast<long>(note.number)), note.number,
                          note.argument, count);
    }
  }
  if (const auto lost = setup.notes->unlisted_lost.load(); lost > 0) {
    text += fmt::format("unlisted\tmany\tmore than fit\t-1\t0x0\t{}\n", lost);
  }
  return text;
}

}  // namespace

std::string call_log_text(const TrapSetup& setup) {
  std::string text;
  for (const ThreadRole role : kAllRoles) {
    const auto entered = setup.notes->entered.at(index_of(role)).load();
    text += fmt::format("role\t{}\t{}\n", to_string(role), entered);
    const auto& rows = setup.rows.at(index_of(role));
    for (std::size_t i = 0; entered > 0 && i < std::min(rows.size(), TrapNotes::kRows); ++i) {
      text += fmt::format("row\t{}\t{}\t{}\t{}\t{}\n", to_string(role), word_of(rows[i].use),
                          setup.notes->used.at(index_of(role)).at(i).load(), rows[i].name,
                          rows[i].reason);
    }
  }
  return text + unlisted_lines(setup);
}

Status write_call_log(const TrapSetup& setup, int fd) {
  if (fd < 0) {
    const std::string text = unlisted_lines(setup);
    if (!text.empty()) {
      log::warn("The sandbox's lists lack calls:\n{}", text);
    }
    return {};
  }
  const std::string text = call_log_text(setup);
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot write the log of system calls (sandbox.log)");
  }
  return {};
}

}  // namespace gpuvm::sandbox
