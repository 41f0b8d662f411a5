// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/scrub/memory_scrub.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "devices/physical/memory_bars.hpp"
#include "devices/physical/region_table.hpp"
#include "vmm/base/async.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kStep = 16_MiB;   // between two looks at the time
constexpr std::uint64_t kGrain = 64_KiB;  // a smaller part is not divided
constexpr std::uint64_t kSampleCount = 5;
constexpr std::uint64_t kSampleSize = sizeof(std::uint32_t);

/// Another one at each place, and neither zero nor all ones.
std::uint32_t mark_at(std::uint64_t offset) {
  constexpr std::uint32_t kSeed = 0x5ca1ab1e;
  const auto hash = static_cast<std::uint32_t>((offset >> 2) * 0x9e3779b1U);
  return (kSeed ^ hash ^ static_cast<std::uint32_t>(offset >> 32)) | 1U << 31 | 1U;
}

/// The first, the last, and some between, off the beginnings of pages.
std::array<std::uint64_t, kSampleCount> sample_places(const RegionArea& area) {
  const auto inside = [&area](std::uint64_t part) {
    return area.offset + align_down(area.size / kSampleCount * part + part * 0x124, kSampleSize);
  };
  return {area.offset, inside(1), inside(2), inside(3), area.offset + area.size - kSampleSize};
}

/// Stores of 16 bytes, each of them once and in order: what a compiler would make of memset() may
/// be a string instruction, which goes byte by byte where memory is not cached.
void fill_with_zeroes(std::span<std::byte> bytes) {
  using Block = long long __attribute__((vector_size(16)));
  // SAFETY: mappings are page aligned and whole pages.
  auto* const blocks = reinterpret_cast<volatile Block*>(bytes.data());
  const Block zero{};
  for (std::size_t i = 0; i < bytes.size() / sizeof(Block); ++i) {
    blocks[i] = zero;
  }
}

class Scrub {
 public:
  Scrub(PhysicalDevice& device, const ScrubChoice& choice, const ScrubWatch& watch)
      : device_(device), choice_(choice), watch_(watch), start_(watch.now()) {
    report_.function = device.name();
  }
  ScrubReport run();

 private:
  enum class Takes { kAll, kSome, kNone };

  Status scrub_bars(const std::vector<unsigned>& bars);
  Status scrub_bar(ScrubbedBar& bar);
  Status scrub_step(ScrubbedBar& bar, const RegionArea& step);
  Status overwrite(ScrubbedBar& bar, const RegionArea& area);
  Status expect_zero(unsigned bar, const RegionArea& area);
  Result<Takes> try_marks(unsigned bar, const RegionArea& area);
  Result<std::uint32_t> read(unsigned bar, std::uint64_t offset);
  Status write(unsigned bar, std::uint64_t offset, std::uint32_t value);
  Status check_time() const;
  void tell();

  PhysicalDevice& device_;
  const ScrubChoice& choice_;
  const ScrubWatch& watch_;
  const milliseconds start_;
  milliseconds last_news_{0};  ///< since start_
  ScrubReport report_;
  std::vector<std::pair<unsigned, RegionArea>> zeroed_;
};

Result<std::uint32_t> Scrub::read(unsigned bar, std::uint64_t offset) {
  std::array<std::byte, kSampleSize> bytes{};
  TRY(device_.read(bar_region(bar), offset, bytes));
  return static_cast<std::uint32_t>(load_le(bytes));
}

Status Scrub::write(unsigned bar, std::uint64_t offset, std::uint32_t value) {
  std::array<std::byte, kSampleSize> bytes{};
  store_le(bytes, value);
  return device_.write(bar_region(bar), offset, bytes);
}

Status Scrub::check_time() const {
  if (watch_.now() - start_ < choice_.limit) {
    return {};
  }
  return fail(ErrorKind::kUnsafeDevice, "it was not done within {} s: raise scrub_limit",
              choice_.limit.count());
}

/// All marks are there before the first is read: memory that shows the same bytes at several places
/// keeps the last one only.
Result<Scrub::Takes> Scrub::try_marks(unsigned bar, const RegionArea& area) {
  const auto places = sample_places(area);
  for (const std::uint64_t place : places) {
    TRY(write(bar, place, mark_at(place)));
  }
  std::size_t taken = 0;
  for (const std::uint64_t place : places) {
    taken += TRY(read(bar, place)) == mark_at(place) ? 1U : 0U;
  }
  return taken == places.size() ? Takes::kAll : taken == 0 ? Takes::kNone : Takes::kSome;
}

Status Scrub::expect_zero(unsigned bar, const RegionArea& area) {
  for (const std::uint64_t place : sample_places(area)) {
    const auto value = TRY(read(bar, place));
    if (value != 0) {
      return fail(ErrorKind::kUnsafeDevice,
                  "BAR {} reads {:#010x} at {:#x} after it was overwritten with zeroes", bar, value,
                  place);
    }
    ++report_.samples;
  }
  return {};
}

Status Scrub::overwrite(ScrubbedBar& bar, const RegionArea& area) {
  const auto window = TRY(device_.map(bar_region(bar.bar), area, 0));
  fill_with_zeroes(window.bytes());
  TRY(expect_zero(bar.bar, area));
  bar.zeroed += area.size;
  zeroed_.emplace_back(bar.bar, area);
  return {};
}

/// Halves what takes writes in part, as at the end of the memory behind a larger window. The last
/// part that does is overwritten, too, and does not count.
Status Scrub::scrub_step(ScrubbedBar& bar, const RegionArea& step) {
  std::vector<RegionArea> rest{step};  // at most one for each halving
  while (!rest.empty()) {
    const RegionArea area = rest.back();
    rest.pop_back();
    const bool can_map = may_map(device_.region(bar_region(bar.bar)), area);
    const Takes takes = can_map ? TRY(try_marks(bar.bar, area)) : Takes::kSome;
    if (takes == Takes::kAll) {
      TRY(overwrite(bar, area));
    } else if (takes == Takes::kNone || area.size <= kGrain) {
      if (can_map && takes == Takes::kSome) {
        fill_with_zeroes(TRY(device_.map(bar_region(bar.bar), area, 0)).bytes());
      }
      bar.unwritable += area.size;
    } else {
      const std::uint64_t half = align_down(area.size / 2, kPageSize);
      rest.push_back({.offset = area.offset + half, .size = area.size - half});
      rest.push_back({.offset = area.offset, .size = half});
    }
  }
  return {};
}

Status Scrub::scrub_bar(ScrubbedBar& bar) {
  const std::uint64_t whole_pages = align_down(bar.size, kPageSize);
  for (std::uint64_t offset = 0; offset < whole_pages; offset += kStep) {
    TRY(check_time());
    TRY(scrub_step(bar, {.offset = offset, .size = std::min(kStep, whole_pages - offset)}));
    tell();
  }
  bar.unwritable += bar.size - whole_pages;
  if (bar.zeroed == 0) {
    return fail(ErrorKind::kUnsafeDevice,
                "BAR {} takes no writes now (the card may show its memory only once its driver has "
                "set it up): its memory is as the guest left it",
                bar.bar);
  }
  return {};
}

void Scrub::tell() {
  const milliseconds now = watch_.now() - start_;
  if (!watch_.on_progress || now - last_news_ < kScrubNewsPause) {
    return;
  }
  last_news_ = now;
  ScrubProgress progress{.function = report_.function};
  for (const ScrubbedBar& bar : report_.bars) {
    progress.done += bar.zeroed + bar.unwritable;
    progress.all += bar.size;
  }
  watch_.on_progress(progress);
}

Status Scrub::scrub_bars(const std::vector<unsigned>& bars) {
  for (const unsigned index : bars) {
    report_.bars.push_back({.bar = index, .size = device_.region(bar_region(index)).size});
  }
  for (ScrubbedBar& bar : report_.bars) {
    TRY(scrub_bar(bar));
  }
  // Once more: what was written later may have changed what was zero, and a cache may have lied.
  for (const auto& [bar, area] : zeroed_) {
    TRY(expect_zero(bar, area));
  }
  return {};
}

ScrubReport Scrub::run() {
  auto bars = bars_to_scrub(device_, choice_);
  const Status done =
      bars ? with_memory_decode(device_, [&] { return scrub_bars(*bars); }) : bars.error();
  if (!done) {
    report_.faults.push_back(done.error().to_string());
  }
  for (ScrubbedBar& bar : report_.bars) {
    bar.not_reached = bar.size - bar.zeroed - bar.unwritable;
  }
  report_.duration = watch_.now() - start_;
  return std::move(report_);
}

}  // namespace

ScrubWatch ScrubWatch::real() {
  return {.now =
              [] {
                return std::chrono::duration_cast<milliseconds>(
                    std::chrono::steady_clock::now().time_since_epoch());
              },
          .on_progress = {}};
}

ScrubReport scrub_memory(PhysicalDevice& device, const ScrubChoice& choice,
                         const ScrubWatch& watch) {
  return Scrub(device, choice, watch).run();
}

std::vector<ScrubReport> scrub_all(const std::vector<ScrubJob>& jobs, const ScrubWatch& watch) {
  std::vector<std::future<ScrubReport>> running;
  for (const ScrubJob& job : jobs) {
    running.push_back(start_async(std::launch::async, [&job, &watch] {
      return scrub_memory(*job.device, job.choice, watch);
    }));
  }
  std::vector<ScrubReport> reports;
  for (auto& each : running) {
    reports.push_back(each.get());
  }
  return reports;
}

}  // namespace gpuvm
