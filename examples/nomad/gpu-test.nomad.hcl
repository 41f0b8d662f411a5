# SPDX-License-Identifier: Apache-2.0
# One test in a guest with a card, as a batch job of Nomad with the Docker driver: docs/kubernetes.md, "Nomad".
#   nomad job run -var image=registry.example.com/gpuvm:1 gpu-test.nomad.hcl
# The client's agent has, in its configuration:
#   client { meta { gpuvm_group = "27" } }                        the card's IOMMU group: `gpuvm devices --gpu` prints it
#   plugin "docker" { config {
#     allow_caps = ["ipc_lock", "setuid", "setgid", "kill"]
#     volumes { enabled = true } } }
# Where a device plugin gives the card instead, it is a `device` block in resources, and `devices` below keeps /dev/kvm only.

variable "image" {
  type        = string
  description = "examples/container, in a registry that the nodes reach"
}

job "gpu-test" {
  type = "batch"

  constraint {
    attribute = "${meta.gpuvm_group}"
    operator  = "is_set"
  }

  group "test" {
    # A test that fails fails again; a node that cannot run it is another matter.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # Nomad gives a port of a node to one allocation at a time: this one stands for the node's card. Nothing listens there.
    network {
      port "card" {
        static = 40001
      }
    }

    task "guest" {
      driver = "docker"

      # The guest has 30 s to power off, and its card is reset and verified afterwards. (The client's max_kill_timeout must allow it.)
      kill_signal  = "SIGTERM"
      kill_timeout = "120s"

      config {
        image = var.image
        args  = ["test", "--result-json", "${NOMAD_ALLOC_DIR}/result.json", "${NOMAD_TASK_DIR}/guest.toml"]

        devices = [
          { host_path = "/dev/kvm", container_path = "/dev/kvm" },
          { host_path = "/dev/vfio/vfio", container_path = "/dev/vfio/vfio" },
          { host_path = "/dev/vfio/${meta.gpuvm_group}", container_path = "/dev/vfio/${meta.gpuvm_group}" },
        ]

        cap_drop = ["all"]
        cap_add  = ["ipc_lock", "setuid", "setgid", "kill"]
        ulimit {
          memlock = "-1:-1"
          nofile  = "65536:65536"
        }

        # Marks and histories of cards are the node's, so that the next guest's start repairs what a killed one left.
        volumes = [
          "/run/gpuvm:/run/gpuvm",
          "/run/gpuvm-resets:/run/gpuvm-resets",
          "/var/lib/images/test:/images:ro",
        ]
      }

      template {
        destination = "local/guest.toml"
        data        = <<-TOML
          name = "gpu-test"

          [machine]
          cpus = 8
          memory = "16GiB"
          on_reboot = "exit"

          [boot]
          kernel = "/images/vmlinuz"
          initrd = "/images/initrd.img"
          cmdline = "root=LABEL=root rw console=ttyS0 panic=-1"

          [[disk]]
          path = "/images/disk.img"
          throwaway = true

          [test]
          exit_port = true
          pvpanic = true
          timeout = "30min"
        TOML
      }

      resources {
        cores = 8
        # MiB: the guest's, and 1 GiB for gpuvm and the programs that run for it.
        memory = 17408
      }
    }
  }
}
