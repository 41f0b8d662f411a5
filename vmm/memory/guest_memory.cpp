// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.hpp"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"

// Newer than Debian 12's headers or guarded there; values of include/uapi.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#define MFD_HUGE_1GB (30U << 26)
#endif

namespace gpuvm {
namespace {

constexpr std::uint64_t kFourGiB = 4_GiB;
constexpr std::uint64_t kPrefaultChunk = 32_MiB;

std::uint64_t page_size_of(HugePages pages) {
  return pages == HugePages::k1GiB ? 1_GiB : 2_MiB;
}

struct MemoryFile {
  UniqueFd fd;
  bool prefers_huge_pages = false;
};

/// A file like a memfd, but in a tmpfs of its own that prefers huge pages whatever the host's
/// setting for memfds is (usually "never"). The mount is seen by no path and goes with the file.
/// Needs CAP_SYS_ADMIN; empty without it.
UniqueFd create_huge_memory_file(std::uint64_t size) {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  const auto set = [&context](const char* key, const std::string& value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
  };
  if (!context || !set("huge", "always") || !set("size", std::to_string(size)) ||
      !set("mode", "0700") ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return {};
  }
  const UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount) {
    return {};
  }
  return UniqueFd(::openat(mount.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
}

Result<MemoryFile> create_memory_file(const GuestMemoryOptions& options) {
  unsigned flags = MFD_CLOEXEC;
  if (options.huge_pages != HugePages::kOff) {
    flags |= MFD_HUGETLB | (options.huge_pages == HugePages::k1GiB ? MFD_HUGE_1GB : MFD_HUGE_2MB);
  }
  flags |= options.is_shared ? MFD_ALLOW_SEALING : 0U;
  MemoryFile file;
  if (options.huge_pages == HugePages::kOff && !options.is_shared) {
    file.fd = create_huge_memory_file(options.size);
    file.prefers_huge_pages = static_cast<bool>(file.fd);
  }
  if (!file.fd) {
    file.fd.reset(::memfd_create("gpuvm-guest-memory", flags));
  }
  if (!file.fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create guest memory (memfd)");
  }
  if (::ftruncate(file.fd.get(), static_cast<off_t>(options.size)) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot size guest memory to {} MiB", options.size >> 20));
  }
  if (options.is_shared &&
      ::fcntl(file.fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot seal guest memory");
  }
  return file;
}

Error no_huge_pages(const GuestMemoryOptions& options) {
  const std::uint64_t page = page_size_of(options.huge_pages);
  return fail(ErrorKind::kHost,
              "Not enough free huge pages of {} MiB for {} MiB of guest memory; reserve them with: "
              "echo {} > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages",
              page >> 20, options.size >> 20, options.size / page, page >> 10);
}

int populate(std::byte* data, std::size_t size) {
  return ::madvise(data, size, MADV_POPULATE_WRITE) == 0 ? 0 : errno;
}

/// Faults one chunk in. Transparent huge pages for memfds are usually disabled by sysfs; an
/// explicit collapse (Linux 6.1) is not subject to that setting and saves a nested page fault for
/// each 4 KiB that the guest touches. It needs one page in each huge page's place to start from.
/// Its failure leaves ordinary pages.
int prefault_chunk(std::byte* data, std::size_t size, bool collapse) {
  if (collapse) {
    for (std::size_t offset = 0; offset < size; offset += 2_MiB) {
      if (const int failed = populate(data + offset, kPageSize)) {
        return failed;
      }
    }
    ::madvise(data, size, MADV_COLLAPSE);
  }
  return populate(data, size);
}

/// Calls `work` on this thread, with 0, and on as many more as there may be, with their numbers.
/// Neither it nor the others may throw: helpers would end the process.
void work_in_parallel(unsigned threads, const PrefaultHooks& hooks,
                      const std::function<void(std::size_t)>& begin,
                      const std::function<void(std::size_t)>& work) {
  const auto help = [&](std::size_t number) {
    begin(number);
    if (hooks.on_begin) {
      hooks.on_begin();
    }
    work(number);
    if (hooks.on_end) {
      hooks.on_end();
    }
  };
  std::vector<std::thread> helpers;
  // Where there are no more threads or no more memory for this process fewer do it, too.
  static_cast<void>(thrown_by([&] {
    helpers.reserve(threads);
    for (unsigned i = 1; i < threads; ++i) {
      helpers.emplace_back(help, i);
    }
  }));
  work(0);
  for (auto& helper : helpers) {
    helper.join();
  }
}

/// The calling thread runs on these from now on. Without it, it is slower only.
void run_on(const std::vector<unsigned>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) {
    CPU_SET(cpu, &set);
  }
  ::sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

std::vector<GuestRange> place_ram(std::uint64_t size, std::uint64_t low_limit) {
  struct Place {
    std::uint64_t base;
    std::uint64_t room;
  };
  const std::array<Place, 3> places = {Place{0, low_limit},
                                       Place{kFourGiB, kAddressHoleBase - kFourGiB},
                                       Place{kAddressHoleEnd, ~kAddressHoleEnd}};
  std::vector<GuestRange> ranges;
  for (const auto& place : places) {
    const std::uint64_t part = std::min(size, place.room);
    if (part != 0) {
      ranges.push_back(*GuestRange::create(GuestAddress(place.base), part));
    }
    size -= part;
  }
  return ranges;
}

Result<GuestMemory> GuestMemory::create(const GuestMemoryOptions& options) {
  const std::uint64_t page = page_size_of(options.huge_pages);
  if (options.size == 0 || !is_aligned(options.size, page) || options.low_limit == 0 ||
      options.low_limit > 2_GiB || !is_aligned(options.low_limit, page)) {
    return fail(ErrorKind::kConfig, "Guest memory of {} bytes is not a multiple of {} MiB",
                options.size, page >> 20);
  }
  auto file = TRY(create_memory_file(options));
  auto mapping = MappedRegion::create({.fd = file.fd.get(),
                                       .size = options.size,
                                       .alignment = std::max<std::uint64_t>(page, 2_MiB)});
  if (!mapping) {
    if (options.huge_pages != HugePages::kOff) {
      return no_huge_pages(options);
    }
    return std::move(mapping).error().with_context("Guest memory");
  }
  GuestMemory memory(options, std::move(file.fd), std::move(mapping).value());
  memory.prefers_huge_pages_ = file.prefers_huge_pages;
  return memory;
}

GuestMemory::GuestMemory(GuestMemoryOptions options, UniqueFd fd, MappedRegion mapping)
    : options_(options), fd_(std::move(fd)), mapping_(std::move(mapping)) {
  std::uint64_t offset = 0;
  for (const auto& range : place_ram(options_.size, options_.low_limit)) {
    regions_.push_back({range, mapping_.bytes().subspan(offset, range.size()), offset});
    offset += range.size();
  }
}

/// A vfio-user server is a process of its own, with the file and mappings of it, and may outlive
/// the guest by days. All other memory is freed with this process, and Linux hands no page out
/// again that it has not zeroed.
GuestMemory::~GuestMemory() {
  if (fd_ && options_.is_shared &&
      ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(options_.size)) != 0) {
    log::warn("{}", fail_errno(ErrorKind::kHost,
                               "The guest's memory stays with whoever else has it: it cannot be "
                               "cleared")
                        .to_string());
  }
}

Status GuestMemory::place_on_node(GuestRange range, unsigned host_node, NodePolicy policy) {
  constexpr unsigned kBitsPerWord = 8 * sizeof(unsigned long);
  const auto bytes = slice(range.base(), range.size());
  if (!bytes) {
    return fail(ErrorKind::kInternal, "No guest memory at {:#x}, {:#x} bytes, to put on a node",
                range.base().value(), range.size());
  }
  std::vector<unsigned long> nodes(host_node / kBitsPerWord + 1);
  nodes.back() = 1UL << host_node % kBitsPerWord;
  const int mode = policy == NodePolicy::kBind ? MPOL_BIND : MPOL_PREFERRED;
  // The kernel ignores the last bit of the number that it is told.
  if (::syscall(SYS_mbind, bytes->data(), bytes->size(), mode, nodes.data(),
                nodes.size() * kBitsPerWord + 1, 0U) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot take guest memory from the host's node {}", host_node));
  }
  placed_.push_back({.begin = static_cast<std::uint64_t>(bytes->data() - mapping_.data()),
                     .size = bytes->size(),
                     .host_node = host_node});
  return {};
}

void GuestMemory::set_node_cpus(unsigned host_node, std::span<const unsigned> cpus) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) {
    return;
  }
  auto& kept = node_cpus_[host_node];
  kept.clear();
  for (const unsigned cpu : cpus) {
    if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &usable)) {
      kept.push_back(cpu);
    }
  }
}

Status GuestMemory::prefault(const PrefaultHooks& hooks) {
  const bool collapse = options_.huge_pages == HugePages::kOff && !prefers_huge_pages_;
  PrefaultChunks chunks(cut_into_parts(options_.size, placed_), kPrefaultChunk);
  const auto go_near = [&](std::size_t thread) {
    const auto node = chunks.preferred(thread).host_node;
    const auto cpus = node ? node_cpus_.find(*node) : node_cpus_.end();
    if (cpus != node_cpus_.end() && !cpus->second.empty()) {
      run_on(cpus->second);
    }
  };
  std::atomic<int> error{0};
  const auto take_chunks = [&](std::size_t thread) {
    while (error == 0) {
      const auto chunk = chunks.take(thread);
      if (!chunk) {
        return;
      }
      const bool is_unwanted = hooks.is_unwanted && hooks.is_unwanted();
      std::byte* const data = mapping_.data() + chunk->offset;
      if (const int failed =
              is_unwanted ? ECANCELED : prefault_chunk(data, chunk->size, collapse)) {
        error = failed;
        return;  // what it did not finish stays under way: nobody is told that it is there
      }
      const std::uint64_t done = chunks.finish(*chunk);
      if (hooks.on_progress) {
        hooks.on_progress(done);
      }
    }
  };
  work_in_parallel(options_.prefault_threads, hooks, go_near, [&](std::size_t thread) {
    if (thrown_by([&] { take_chunks(thread); })) {
      error = ENOMEM;
    }
  });
  return error == 0 ? Status() : prefault_error(error);
}

Error GuestMemory::prefault_error(int error) const {
  if (error == ECANCELED) {
    return fail(ErrorKind::kCancelled, "The guest's memory is not wanted any more");
  }
  if (options_.huge_pages != HugePages::kOff) {
    return no_huge_pages(options_);
  }
  return fail_errno(ErrorKind::kHost,
                    fmt::format("Cannot give {} MiB of memory to the guest; lower machine.memory",
                                options_.size >> 20),
                    error);
}

std::optional<std::span<std::byte>> GuestMemory::slice(GuestAddress at,
                                                       std::uint64_t length) const {
  for (const auto& region : regions_) {
    if (region.range.contains(at, std::max<std::uint64_t>(length, 1))) {
      return region.host.subspan(at - region.range.base(), length);
    }
  }
  return std::nullopt;
}

bool GuestMemory::read(GuestAddress at, std::span<std::byte> out) const {
  const auto source = slice(at, out.size());
  if (!source) {
    return false;
  }
  std::memcpy(out.data(), source->data(), out.size());
  return true;
}

bool GuestMemory::write(GuestAddress at, std::span<const std::byte> in) const {
  const auto target = slice(at, in.size());
  if (!target) {
    return false;
  }
  std::memcpy(target->data(), in.data(), in.size());
  return true;
}

}  // namespace gpuvm
