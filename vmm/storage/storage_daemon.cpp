// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/storage_daemon.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <unistd.h>

#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/helper/listening_pair.hpp"

namespace gpuvm {
namespace {

constexpr std::chrono::milliseconds kPatience{10000};  ///< to write what it has in memory
constexpr std::chrono::milliseconds kLastWords{2000};
/// How often the room of a throwaway disk is looked at: no disk writes 8 GiB in this time.
constexpr std::chrono::milliseconds kLookAtRoom{250};

constexpr std::string_view word_of(bool value) {
  return value ? "true" : "false";
}

/// Looked for where the file is opened by descriptor: its name decides nothing. Of an overlay's
/// file nothing is given back before its end: refilling what was would need room that no limit of
/// its size would see.
std::string file_node(const StorageDaemon::Options& options, const ImageLayer& layer, int fd,
                      bool writable) {
  return fmt::format(
      R"({{"driver":"{}","filename":"/proc/self/fd/{}","read-only":{},"discard":"{}",)"
      R"("cache":{{"direct":{},"no-flush":{}}}}})",
      layer.is_block_device ? "host_device" : "file", fd, word_of(!writable),
      options.discard && writable && !options.throwaway ? "unmap" : "ignore",
      word_of(options.direct), word_of(options.no_flush));
}

/// The layer and all below it. Which is below which is said here, and nowhere taken from an image.
std::string format_node(const StorageDaemon::Options& options,
                        const std::vector<ImageLayer>& layers, std::size_t index) {
  const auto& layer = layers[index];
  const bool writable = index == 0 && !options.read_only;
  std::string node = fmt::format(
      R"({{"driver":"{}","read-only":{},"discard":"{}","cache":{{"direct":{},"no-flush":{}}},"file":{})",
      driver_of(layer.format), word_of(!writable), options.discard && writable ? "unmap" : "ignore",
      word_of(options.direct), word_of(options.no_flush),
      file_node(options, layer, kFirstFileOfProgram + 1 + static_cast<int>(index), writable));
  if (layer.format == ImageFormat::kQcow2 || layer.format == ImageFormat::kVmdk) {
    node += R"(,"backing":)";
    node += index + 1 < layers.size() ? format_node(options, layers, index + 1) : "null";
  }
  return node + "}";
}

std::string named(const std::string& node, std::string_view name) {
  return fmt::format(R"({{"node-name":"{}",{})", name, node.substr(1));
}

/// The overlay, then the image, which is not written to then.
Result<std::vector<ImageLayer>> open_layers(const StorageDaemon::Options& options) {
  auto chain = TRY(open_image_chain({.path = options.path,
                                     .format = options.format,
                                     .writable = !options.read_only && !options.throwaway}));
  if (!options.throwaway) {
    return chain;
  }
  if (chain.front().size == 0) {
    const bool has_size =
        options.format == ImageFormat::kRaw || options.format == ImageFormat::kQcow2;
    return fail(ErrorKind::kConfig, "{}",
                has_size ? fmt::format("{} is a disk of 0 bytes: give it a size (truncate -s SIZE "
                                       "FILE, or qemu-img resize FILE SIZE)",
                                       options.path)
                         : fmt::format("throwaway needs a raw or a qcow2 image: make one of {} "
                                       "(qemu-img convert -O qcow2 OLD NEW)",
                                       options.path));
  }
  std::vector<ImageLayer> layers;
  layers.emplace_back();
  layers.front().size = chain.front().size;
  layers.front().format = ImageFormat::kQcow2;
  layers.front().fd = TRY(make_overlay(chain.front().size));
  if (TRY(options.limit(layers.front().fd.get(), most_of_overlay(chain.front().size))).is_full) {
    return fail(ErrorKind::kHost,
                "A throwaway disk needs room in /var/tmp, or where TMPDIR says, whose file system "
                "has less free than is left to the host (a twentieth of it, up to 8 GiB): free "
                "some");
  }
  layers.insert(layers.end(), std::make_move_iterator(chain.begin()),
                std::make_move_iterator(chain.end()));
  return layers;
}

Status check_program(const StorageDaemon::Options& options) {
  if (find_program(options.program).empty()) {
    return fail(ErrorKind::kHost,
                "{} needs the program {}, which is not installed: apt install qemu-system-common, "
                "or take a raw image",
                options.throwaway ? std::string("throwaway")
                                  : fmt::format("format = \"{}\"", driver_of(options.format)),
                options.program);
  }
  return {};
}

/// Keeps the file of a throwaway disk in what its file system has room for: what does not fit is an
/// error for the guest, and no trouble for the host.
class OverlayWatch {
 public:
  OverlayWatch(UniqueFd file, std::uint64_t size, const StorageDaemon::Options& options)
      : file_(std::move(file)),
        most_(most_of_overlay(size)),
        image_(options.path),
        limit_of_(options.limit) {}

  Result<FileLimit> limit() {
    const auto limit = TRY(limit_of_(file_.get(), most_));
    if (limit.is_full && !std::exchange(is_told_, true)) {
      log::warn(
          "{}: the throwaway disk may not grow any more, since the file system of its writes has "
          "nothing left but the host's reserve; the guest gets errors",
          image_);
    }
    last_ = limit.bytes;
    return FileLimit{.now = limit.bytes, .most = most_};
  }
  /// On the thread that watches the daemon, which begins after the first limit().
  void look(pid_t program) {
    const std::uint64_t before = last_;
    if (const auto wanted = limit(); wanted && wanted->now != before) {
      if (const auto set = limit_files(program, *wanted); !set && log_limit_.allow()) {
        log::warn("{}: {}", image_, set.error().to_string());
      }
    }
  }

 private:
  const UniqueFd file_;
  const std::uint64_t most_;
  const std::string image_;
  const std::function<Result<OverlayLimit>(int, std::uint64_t)> limit_of_;
  bool is_told_ = false;
  std::uint64_t last_ = 0;
  log::RateLimit log_limit_;
};

Result<std::shared_ptr<OverlayWatch>> watch_overlay(const StorageDaemon::Options& options,
                                                    const ImageLayer& overlay) {
  UniqueFd file(::fcntl(overlay.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!file) {
    return fail_errno(ErrorKind::kHost, "Cannot duplicate a descriptor");
  }
  return std::make_shared<OverlayWatch>(std::move(file), overlay.size, options);
}

/// It reopens the files of its descriptors, which its user must be able to. The overlay's is ours
/// to give away; of the others it may be that only root can.
Result<HelperConfinement> confinement_of(const StorageDaemon::Options& options,
                                         const std::vector<ImageLayer>& layers) {
  HelperConfinement confinement{
      .profile = options.profile, .user = options.user, .is_limited_later = options.throwaway};
  const auto user = TRY(identity_for_helper(options.user, options.throwaway));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const int fd = layers[i].fd.get();
    const bool is_writable = i == 0 && !options.read_only;
    if (user && options.throwaway && i == 0 && ::fchown(fd, user->user, user->group) != 0) {
      log::debug("The file of a throwaway disk stays root's");
    }
    if (::geteuid() == 0 && !can_reopen(fd, user.value_or(sandbox::Identity()), is_writable)) {
      confinement.capabilities = sandbox::capability(CAP_DAC_OVERRIDE);
    }
    confinement.paths.push_back(
        {.path = fmt::format("/proc/self/fd/{}", fd),
         .access = is_writable ? sandbox::PathAccess::kWrite : sandbox::PathAccess::kRead});
  }
  return confinement;
}

}  // namespace

std::vector<std::string> storage_daemon_arguments(const StorageDaemon::Options& options,
                                                  const std::vector<ImageLayer>& layers) {
  std::vector<std::string> arguments{"qemu-storage-daemon"};
  std::string node = format_node(options, layers, 0);
  if (options.iops != 0 || options.bandwidth != 0) {
    arguments.insert(
        arguments.end(),
        {"--object",
         fmt::format(
             R"({{"qom-type":"throttle-group","id":"limits","limits":{{"iops-total":{},"bps-total":{}}}}})",
             options.iops, options.bandwidth)});
    node = fmt::format(R"({{"driver":"throttle","throttle-group":"limits","file":{}}})", node);
  }
  arguments.insert(
      arguments.end(),
      {"--blockdev", named(node, "disk"), "--export",
       fmt::format(
           R"({{"type":"vhost-user-blk","id":"guest","node-name":"disk","writable":{},"num-queues":{},"addr":{{"type":"fd","str":"{}"}}}})",
           word_of(!options.read_only), options.queues, kFirstFileOfProgram)});
  return arguments;
}

Status StorageDaemon::check(const Options& options) {
  TRY(check_program(options));
  TRY(open_layers(options));
  return {};
}

Result<std::unique_ptr<StorageDaemon>> StorageDaemon::start(const Options& options) {
  TRY(check_program(options));
  const auto layers = TRY(open_layers(options));
  auto pair = TRY(ListeningPair::create());
  std::unique_ptr<StorageDaemon> daemon(new StorageDaemon(std::move(pair.connected)));
  Program program{.path = find_program(options.program),
                  .arguments = storage_daemon_arguments(options, layers),
                  .files = {pair.listener.get()}};
  for (const auto& layer : layers) {
    program.files.push_back(layer.fd.get());
  }
  if (options.profile != nullptr) {
    program.confinement = TRY(confinement_of(options, layers));
  }
  ChildProcess::Options child{.program = std::move(program),
                              .on_end = options.on_end,
                              .patience = kPatience,
                              .look_every = kLookAtRoom};
  if (options.throwaway) {
    const auto watch = TRY(watch_overlay(options, layers.front()));
    child.program.file_limit = TRY(watch->limit());
    child.look = [watch](pid_t pid) { watch->look(pid); };
  }
  daemon->child_ = TRY(ChildProcess::start(std::move(child)));
  return daemon;
}

Error StorageDaemon::explain(Error error) {
  const auto end = child_->wait_for_end(kLastWords);
  return end ? *end : error;
}

}  // namespace gpuvm
