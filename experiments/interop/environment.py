"""A Python environment with the other tools, nothing outside its folder.

Environment:
  INTEROP_CACHE   folder of the environment and of the tools' code (default target/interop)
  INTEROP_PYTHON  a Python that has torch and transformers already, instead of a new environment
  INTEROP_TOUCHMARK another built program than target/release/touchmark
  INTEROP_SYNTHID a checkout of Google's synthid-text at addb4a1 (default: it is cloned from GitHub)

vLLM and SGLang are read, not installed: their packages want a GPU. Of vLLM the source archive is fetched and its folder of
watermarks unpacked; of SGLang, synthid-text and MarkLLM the packages themselves, without what they depend on.
"""

import hashlib
import html
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = pathlib.Path(os.environ.get("INTEROP_CACHE", ROOT / "target/interop")).resolve()
TORCH = ["torch==2.15.0", "transformers==5.23.0", "pydantic"]
SMALL = ["msgspec", "jax==0.10.2", "jaxlib==0.10.2", "ml_dtypes", "opt_einsum", "scipy", "sglang==0.5.23", "synthid-text==0.2.1", "markllm==0.1.5"]
BUILD = ["gguf==0.19.0", "cmake==4.4.4", "ninja==1.13.2"]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
VLLM = ("https://pypi.org/simple/vllm/", "vllm-0.33.0.tar.gz")
# The package of the Python bindings has llama.cpp's source in it.
LLAMA_CPP = ("https://pypi.org/simple/llama-cpp-python/", "llama_cpp_python-0.3.36.tar.gz")
VLLM_PARTS = ("vllm/v1/watermarking/", "vllm/config/watermarking.py")
SYNTHID_HEAD = ("https://github.com/google-deepmind/synthid-text", "addb4a1")


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def python():
    given = os.environ.get("INTEROP_PYTHON")
    if given:
        return given
    found = CACHE / "venv/bin/python"
    if not (CACHE / "venv/done").exists():
        run(sys.executable, "-m", "venv", CACHE / "venv")
        run(found, "-m", "pip", "install", "--quiet", "--extra-index-url", CPU_INDEX, *TORCH)
        (CACHE / "venv/done").touch()
    return found


def packages(interpreter):
    folder = CACHE / "site"
    if not (folder / "done").exists():
        run(interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", folder, *SMALL)
        # SGLang's package pulls in its server; the folder of watermarks needs none of it.
        for heavy in ("sglang/__init__.py", "sglang/srt/__init__.py", "sglang/srt/sampling/__init__.py"):
            (folder / heavy).unlink(missing_ok=True)
        (folder / "done").touch()


def unpacked(source, folder, wanted):
    """The files of a source archive whose paths in it begin with one of `wanted`, once."""
    if (folder / "done").exists():
        return
    page, name = source
    with urllib.request.urlopen(page) as answer:
        index = html.unescape(answer.read().decode())
    address, digest = re.search(rf'href="([^"]*/{re.escape(name)})#sha256=([0-9a-f]{{64}})', index).groups()
    archive = CACHE / name
    with urllib.request.urlopen(urllib.parse.urljoin(page, address)) as answer, open(archive, "wb") as out:
        shutil.copyfileobj(answer, out)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
        raise SystemExit(f"{name} is not what the index says it is; remove it and try again")
    with tarfile.open(archive) as packed:
        for member in packed:
            inside = member.name.partition("/")[2]
            if member.isfile() and inside.startswith(wanted):
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(packed.extractfile(member).read())
    archive.unlink()
    (folder / "done").touch()


def llama_cpp(interpreter):
    """llama.cpp's programs that measure and quantise, built for this machine; the folder that they are in."""
    folder = CACHE / "llama-cpp"
    unpacked(LLAMA_CPP, folder, ("vendor/llama.cpp/",))
    build = folder / "build"
    if not (build / "done").exists():
        run(interpreter, "-m", "pip", "install", "--quiet", *BUILD)
        tools = pathlib.Path(interpreter).parent
        switches = ["CMAKE_BUILD_TYPE=Release", "BUILD_SHARED_LIBS=OFF", "LLAMA_OPENSSL=OFF", "LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_SERVER=OFF",
                    "LLAMA_BUILD_UI=OFF", "LLAMA_BUILD_NUMBER=0", f"CMAKE_MAKE_PROGRAM={tools / 'ninja'}"]
        source = folder / "vendor/llama.cpp"
        if platform.machine() == "x86_64":
            # Virtual machines may name these instructions among the processor's and refuse them.
            unused = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
            switches += [f"CMAKE_C_FLAGS={unused}", f"CMAKE_CXX_FLAGS={unused}"]
        run(tools / "cmake", "-S", source, "-B", build, "-G", "Ninja", *(f"-D{switch}" for switch in switches))
        run(tools / "cmake", "--build", build, "--target", "llama-batched-bench", "llama-quantize")
        (build / "done").touch()
    return build / "bin"


def synthid_head():
    """The repository's form of the hash was never published as a package; without it its column is left out."""
    folder = CACHE / "synthid-head"
    if (folder / "src").exists():
        return
    given, (source, commit) = os.environ.get("INTEROP_SYNTHID"), SYNTHID_HEAD
    if given:
        shutil.copytree(pathlib.Path(given) / "src", folder / "src")
        return
    try:
        run("git", "clone", "--quiet", source, folder)
        run("git", "-C", folder, "checkout", "--quiet", commit)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{source} cannot be cloned: the column of synthid-text's repository is left out", file=sys.stderr)


def run_script(script):
    """Runs a Python script of this project among the tools, with the arguments of this program."""
    program = pathlib.Path(os.environ.get("INTEROP_TOUCHMARK", ROOT / "target/release/touchmark"))
    if not program.exists():
        raise SystemExit(f"{program} is missing; run: cargo build --release")
    CACHE.mkdir(parents=True, exist_ok=True)
    interpreter = python()
    packages(interpreter)
    unpacked(VLLM, CACHE / "vllm", VLLM_PARTS)
    synthid_head()
    quiet = {"TOKENIZERS_PARALLELISM": "false", "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **quiet, "INTEROP_CACHE": str(CACHE), "PYTHONPATH": str(HERE)}
    subprocess.run([interpreter, script, *sys.argv[1:]], check=True, env=environment)
