// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/storage_daemon.hpp"

#include "vmm/helper/listening_pair.hpp"
#include "vmm/storage/overlay.hpp"

namespace gpuvm {
namespace {

constexpr std::chrono::milliseconds kPatience{10000};  ///< to write what it has in memory
constexpr std::chrono::milliseconds kLastWords{2000};

constexpr std::string_view word_of(bool value) {
  return value ? "true" : "false";
}

/// Looked for where the file is opened by descriptor: its name decides nothing.
std::string file_node(const StorageDaemon::Options& options, const ImageLayer& layer, int fd,
                      bool writable) {
  return fmt::format(
      R"({{"driver":"{}","filename":"/proc/self/fd/{}","read-only":{},"discard":"{}",)"
      R"("cache":{{"direct":{},"no-flush":{}}}}})",
      layer.is_block_device ? "host_device" : "file", fd, word_of(!writable),
      options.discard && writable ? "unmap" : "ignore", word_of(options.direct),
      word_of(options.no_flush));
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
    return fail(ErrorKind::kConfig,
                "throwaway needs a raw or a qcow2 image: make one of {} (qemu-img convert -O qcow2 "
                "OLD NEW)",
                options.path);
  }
  std::vector<ImageLayer> layers;
  layers.emplace_back();
  layers.front().size = chain.front().size;
  layers.front().format = ImageFormat::kQcow2;
  layers.front().fd = TRY(make_overlay(chain.front().size));
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
  daemon->child_ = TRY(ChildProcess::start(
      {.program = std::move(program), .on_end = options.on_end, .patience = kPatience}));
  return daemon;
}

Error StorageDaemon::explain(Error error) {
  const auto end = child_->wait_for_end(kLastWords);
  return end ? *end : error;
}

}  // namespace gpuvm
