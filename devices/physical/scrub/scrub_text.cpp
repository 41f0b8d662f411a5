// SPDX-License-Identifier: Apache-2.0
// Choices and reports of scrubs as text.
#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "devices/physical/scrub/memory_scrub.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kWhat = "vram";
constexpr unsigned kBarNumbers = 6;
constexpr unsigned kMostSeconds = 3600;  // of a hostile file

std::optional<unsigned> small_number(std::string_view text) {
  unsigned value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

std::string text_of(const ScrubbedBar& bar) {
  std::string text = fmt::format("{} of {} bytes of BAR {} overwritten with zeroes", bar.zeroed,
                                 bar.size, bar.bar);
  if (bar.unwritable != 0) {
    text += fmt::format(", {} take no writes", bar.unwritable);
  }
  if (bar.not_reached != 0) {
    text += fmt::format(", {} not reached", bar.not_reached);
  }
  return text;
}

}  // namespace

/// "vram 600 0 1": the limit, then the BARs.
std::string to_text(const std::optional<ScrubChoice>& choice) {
  if (!choice) {
    return "";
  }
  std::string text = fmt::format("{} {}", kWhat, choice->limit.count());
  for (const unsigned bar : choice->bars) {
    text += fmt::format(" {}", bar);
  }
  return text;
}

std::optional<ScrubChoice> parse_scrub_choice(std::string_view text) {
  if (text.empty()) {
    return std::nullopt;
  }
  std::istringstream words{std::string(text)};
  std::string word;
  ScrubChoice choice;
  words >> word;
  const bool is_known = word == kWhat;
  const auto limit = words >> word ? small_number(word) : std::nullopt;
  if (!is_known || !limit || *limit == 0 || *limit > kMostSeconds) {
    return ScrubChoice();
  }
  choice.limit = std::chrono::seconds(*limit);
  while (words >> word) {
    const auto bar = small_number(word);
    const bool is_next =
        bar && *bar < kBarNumbers && (choice.bars.empty() || choice.bars.back() < *bar);
    if (!is_next) {
      return ScrubChoice();
    }
    choice.bars.push_back(*bar);
  }
  return choice;
}

std::uint64_t ScrubReport::zeroed() const {
  std::uint64_t sum = 0;
  for (const ScrubbedBar& bar : bars) {
    sum += bar.zeroed;
  }
  return sum;
}

std::uint64_t ScrubReport::not_covered() const {
  std::uint64_t sum = 0;
  for (const ScrubbedBar& bar : bars) {
    sum += bar.unwritable + bar.not_reached;
  }
  return sum;
}

std::string ScrubReport::to_text() const {
  std::string text = fmt::format("scrub of {} {} in {} ms", function, is_done() ? "done" : "failed",
                                 duration.count());
  for (const ScrubbedBar& bar : bars) {
    text += ", " + text_of(bar);
  }
  if (samples != 0) {
    text += fmt::format(", {} samples read zero", samples);
  }
  if (!bars.empty()) {
    text += "; memory that no BAR shows is not covered";
  }
  for (const std::string& fault : faults) {
    text += "; " + fault;
  }
  return text;
}

}  // namespace gpuvm
