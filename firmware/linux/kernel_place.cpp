// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_place.hpp"

#include <sys/random.h>

#include <algorithm>
#include <vector>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

/// KERNEL_IMAGE_SIZE of a kernel with KASLR: what its mapping has room for.
constexpr std::uint64_t kMappingSize = 1_GiB;
/// Not lower than the decompressor goes, and not higher than one entry of the first page table.
constexpr std::uint64_t kLowest = 16_MiB;
constexpr std::uint64_t kHighest = 512_GiB;

/// Addresses first, first + step, …
struct Places {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Whether the command line has this word, or one that begins with it and "=".
bool has_word(std::string_view line, std::string_view wanted) {
  while (!line.empty()) {
    const auto end = std::min(line.find_first_of(" \t\n"), line.size());
    const auto word = line.substr(0, end);
    if (word == wanted || (wanted.ends_with('=') && word.starts_with(wanted))) {
      return true;
    }
    if (word == "--") {
      return false;  // what follows is for init
    }
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return false;
}

/// Those in [first, end) for `size` bytes.
void add_places(std::vector<Places>& all, std::uint64_t first, std::uint64_t end,
                std::uint64_t size, std::uint64_t step) {
  first = align_up(first, step);
  if (first < end && end - first >= size) {
    all.push_back({first, (end - first - size) / step + 1});
  }
}

std::vector<Places> free_places(const KernelChoice& choice, std::uint64_t size,
                                std::uint64_t step) {
  std::vector<GuestRange> avoid(choice.avoid.begin(), choice.avoid.end());
  std::ranges::sort(avoid, {}, [](const GuestRange& range) { return range.base(); });
  std::vector<Places> all;
  for (const auto& ram : choice.ram) {
    std::uint64_t at = std::max(ram.base().value(), kLowest);
    const std::uint64_t end = std::min(ram.last().value() + 1, kHighest);
    for (const auto& taken : avoid) {
      if (taken.last().value() >= at && taken.base().value() < end) {
        add_places(all, at, std::max(taken.base().value(), at), size, step);
        at = taken.last().value() + 1;
      }
    }
    add_places(all, at, end, size, step);
  }
  return all;
}

Result<std::uint64_t> random_place(const KernelChoice& choice, std::uint64_t size,
                                   std::uint64_t step) {
  const auto places = free_places(choice, size, step);
  std::uint64_t count = 0;
  for (const auto& some : places) {
    count += some.count;
  }
  if (count == 0) {
    return std::uint64_t{choice.header.pref_address};
  }
  std::uint64_t index = TRY(choice.random(count));
  for (const auto& some : places) {
    if (index < some.count) {
      return some.first + index * step;
    }
    index -= some.count;
  }
  return std::uint64_t{choice.header.pref_address};
}

}  // namespace

Result<std::uint64_t> host_random_below(std::uint64_t limit) {
  const std::uint64_t rest = (~std::uint64_t{0} % limit + 1) % limit;  // 2^64 modulo limit
  std::uint64_t number = 0;
  do {  // less than half of all numbers are turned down
    if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
      return fail_errno(ErrorKind::kHost, "Cannot get random numbers for the kernel's address");
    }
  } while (number > ~rest);
  return number % limit;
}

bool may_move(const KernelChoice& choice) {
  return choice.header.relocatable_kernel != 0 && choice.header.kernel_alignment != 0 &&
         !has_word(choice.command_line, "nokaslr");
}

Result<GuestAddress> choose_kernel_base(const KernelChoice& choice) {
  const auto& line = choice.command_line;
  const bool is_ram_restricted =
      has_word(line, "mem=") || has_word(line, "memmap=") || has_word(line, "hugepages=");
  if (!may_move(choice) || is_ram_restricted) {
    return GuestAddress(choice.header.pref_address);
  }
  return GuestAddress(
      TRY(random_place(choice, choice.header.init_size, choice.header.kernel_alignment)));
}

Result<std::uint64_t> choose_kernel_distance(const KernelChoice& choice) {
  const std::uint64_t used = choice.header.pref_address + choice.header.init_size;
  if (!may_move(choice) || used > kMappingSize) {
    return 0;
  }
  const std::uint64_t step = choice.header.kernel_alignment;
  return step * TRY(choice.random((kMappingSize - used) / step + 1));
}

}  // namespace gpuvm
