"""Arrays as NumPy writes them, for test/npy.test.ts: test/fixtures/npy. Needs numpy.

python tools/goldens/npy.py FOLDER
"""
import pathlib, sys
import numpy as np

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
grid = np.arange(24).reshape(2, 3, 4)
for dtype in ["<f4", ">f4", "<f8", ">f8", "<f2", "|i1", "|u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", ">u8", "|b1"]:
    for order in "CF":
        a = np.asarray((grid % 2 if dtype == "|b1" else grid - (0 if "u" in dtype else 7)), dtype=dtype, order=order)
        np.save(folder / f"{dtype.replace('<', 'le_').replace('>', 'be_').replace('|', '')}_{order}.npy", a)
np.save(folder / "scalar.npy", np.float32(2.5))
np.save(folder / "complex.npy", grid.astype("<c8"))
np.save(folder / "text.npy", np.array(["a", "bc"]))
np.save(folder / "records.npy", np.zeros(2, dtype=[("x", "<f4"), ("y", "<i2")]))
np.save(folder / "object.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
np.save(folder / "nan.npy", np.array([1, np.nan], np.float32))
np.savez(folder / "plain.npz", a=grid.astype(np.float32), b=np.float32([1, 2]))
np.savez_compressed(folder / "compressed.npz", grid.astype(np.int16), grid[0])
