# One command each on a fresh Debian or Ubuntu machine (root or sudo):
#   make demo    set up, build the command alone, quantize the bundled model and show what it cost
#   make test    set up, build, run every test
#   make ci      what CI runs: make test, and the readers of foreign files under ASan and UBSan
# BUILD_FLAGS goes to CMake, for example BUILD_FLAGS=-DTorch_DIR=... for another LibTorch.

PACKAGES = g++ cmake ninja-build pkg-config python3 libtorch-dev libgloo-dev libopenblas0-pthread \
  libsentencepiece-dev libpcre2-dev libutf8proc-dev libssl-dev libfmt-dev libcli11-dev \
  nlohmann-json3-dev libcpp-httplib-dev doctest-dev libbenchmark-dev
PRESET ?= release
BUILD = build/$(PRESET)
KARAT = $(BUILD)/karat
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo command test ci build setup configure format size fuzz sanitize sanitize-readers sanitize-torch aarch64 clean

demo: command
	python3 tools/demo.py --karat $(KARAT)

# karat, karat-torch and what they load: no test, no benchmark.
command: configure
	cmake --build --preset $(PRESET) --target karat_tool karat_torch_tool

test: build
	python3 tools/size.py
	ctest --preset $(PRESET)

ci: test sanitize-readers

build: configure
	cmake --build --preset $(PRESET)

configure: setup
	cmake --preset $(PRESET) $(BUILD_FLAGS)

# Asks apt only for what dpkg does not have, so a prepared machine needs no network.
setup:
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "install ok installed" || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

format:
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

size:
	python3 tools/size.py --table

# Ten minutes a reader, as before a release: make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60
fuzz:
	@command -v clang++ >/dev/null || $(SUDO) apt-get install -y -qq clang
	cmake --preset fuzz -DFUZZ_SECONDS=$(FUZZ_SECONDS)
	cmake --build --preset fuzz --target run_fuzz

# What runs models and links no LibTorch, under ASan and UBSan, then under TSan; then what links it. End-to-end tests
# need the whole command.
sanitize: setup sanitize-torch
	for preset in asan tsan; do \
	  cmake --preset $$preset $(BUILD_FLAGS) && cmake --build --preset $$preset && \
	  ctest --preset $$preset --label-exclude command || exit 1; \
	done

# The layers that read files from anywhere, under ASan and UBSan.
sanitize-readers: setup
	cmake --preset asan $(BUILD_FLAGS)
	cmake --build --preset asan-readers
	ctest --preset asan-readers

# The graph, the calibration sweep and one test of the pipeline, under ASan and UBSan with LibTorch.
sanitize-torch: setup
	cmake --preset asan-torch $(BUILD_FLAGS)
	cmake --build --preset asan-torch
	ctest --preset asan-torch

# The kernels of another architecture, under an emulator; on AArch64 itself `make test` does it.
aarch64:
	@command -v aarch64-linux-gnu-g++ qemu-aarch64 >/dev/null || \
	  $(SUDO) apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu qemu-user
	cmake -S cmake/aarch64 -B build/aarch64 -G Ninja
	cmake --build build/aarch64
	ctest --test-dir build/aarch64 --output-on-failure

clean:
	rm -rf build
