"""A WASI command in Wasmtime: wasi_host.py COMMAND.wasm FOLDER ARGUMENT ...

FOLDER is what the command sees as its working folder. stdin, stdout, stderr and the exit code are the command's;
the status 134 means that it trapped.
"""
import os
import sys

import wasmtime


def main(path, folder, *arguments):
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = [path, *arguments]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(folder, ".")
    store.set_wasi(wasi)
    instance = linker.instantiate(store, wasmtime.Module.from_file(engine, path))
    try:
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        os._exit(exit.code)
    except wasmtime.Trap as trap:
        print(trap, file=sys.stderr)
        os._exit(134)


main(*sys.argv[1:])
