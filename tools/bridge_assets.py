"""Lay out SimplerEnv's Bridge files for mani-skill: ``.venv/bin/python tools/bridge_assets.py FROM TO``.

FROM is a folder with ``tasks/bridge_v2_real2sim_dataset`` and ``widowx_description``, as the repository
ManiSkill2_real2sim has them (its ``data`` and ``mani_skill2_real2sim/assets/descriptions``). TO is the folder
for MS_ASSET_DIR. A table that FROM lacks is replaced by a box, which the overlay image hides.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

DATASET = Path("tasks/bridge_v2_real2sim_dataset")
DESCRIPTION = Path("widowx_description")
ROBOT = Path("robots/widowx")
TABLES = ("bridge_table_1_v1.glb", "bridge_table_1_v2.glb")
#: Height of the table's surface above the floor, and of the origin of its mesh in mani-skill [m].
TABLE_TOP_M = 0.87
TABLE_ORIGIN_M = (2.0634, 2.8313)
TABLE_SIZE_M = (1.6, 1.6)
#: Most pairs of links that do not collide and are not neighbors, in an SRDF for SAPIEN.
MAX_PAIRS = 31


def main() -> int:
    """Lay out the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", metavar="FROM", type=Path)
    parser.add_argument("target", metavar="TO", type=Path)
    options = parser.parse_args()
    needed = (DATASET, DESCRIPTION / "wx250s.urdf")
    missing = [str(path) for path in needed if not (options.source / path).exists()]
    if missing:
        print(f"{options.source} lacks {' and '.join(missing)}", file=sys.stderr)
        return 2
    made = lay_out(options.source, options.target)
    print(f"{options.target} is complete" + (f"; stand-ins: {', '.join(made)}" if made else ""))
    print(f"Use it with: MS_ASSET_DIR={options.target.resolve()}")
    return 0


def lay_out(source: Path, target: Path) -> list[str]:
    """Copy data set and robot into ``target/data``; return the names of tables that a box replaces."""
    data = target / "data"
    # Copy without modes: a read-only source must not make folders that cannot be filled.
    for part, place in ((DATASET, DATASET), (DESCRIPTION, ROBOT)):
        for file in (source / part).rglob("*"):
            if file.is_file():
                copy = data / place / file.relative_to(source / part)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    urdf = data / ROBOT / "wx250s.urdf"
    text, srdf = for_maniskill(urdf.read_text())
    urdf.write_text(text)
    urdf.with_suffix(".srdf").write_text(srdf)
    stages = data / DATASET / "stages"
    absent = [name for name in TABLES if not (stages / name).is_file()]
    for name in absent:
        write_table(stages / name)
    return absent


def for_maniskill(urdf: str) -> tuple[str, str]:
    """Return a URDF without mimic tags and an SRDF with pairs of links that may overlap.

    The controller moves both fingers, so mimic tags are not needed. SAPIEN takes at most MAX_PAIRS pairs;
    links that are near in the chain come first.
    """
    robot = ElementTree.fromstring(urdf)
    parents: dict[str, str] = {}
    for joint in robot.findall("joint"):
        for mimic in joint.findall("mimic"):
            joint.remove(mimic)
        parents[_attribute(joint, "child", "link")] = _attribute(joint, "parent", "link")
    solid = [link.attrib["name"] for link in robot.findall("link") if link.find("collision") is not None]
    lines = [_to_root(name, parents) for name in solid]
    pairs = [(a, b) for a, b in combinations(lines, 2) if b[0] not in a[:2] and a[0] not in b[:2]]
    pairs.sort(key=lambda pair: len(set(pair[0]) ^ set(pair[1])))
    ignored = "".join(
        f'  <disable_collisions link1="{a[0]}" link2="{b[0]}" reason="Default"/>\n'
        for a, b in pairs[:MAX_PAIRS]
    )
    return (
        ElementTree.tostring(robot, encoding="unicode"),
        f'<robot name="{robot.attrib["name"]}">\n{ignored}</robot>\n',
    )


def _attribute(joint: ElementTree.Element, tag: str, name: str) -> str:
    element = joint.find(tag)
    assert element is not None, f"a joint without {tag}"
    return element.attrib[name]


def _to_root(link: str, parents: dict[str, str]) -> list[str]:
    line = [link]
    while line[-1] in parents:
        line.append(parents[line[-1]])
    return line


def write_table(path: Path) -> None:
    """Write a box whose top is the surface of the table, in the mesh's frame, where y is up."""
    import trimesh

    x, y = TABLE_ORIGIN_M
    box = trimesh.creation.box(extents=(TABLE_SIZE_M[0], TABLE_TOP_M, TABLE_SIZE_M[1]))
    box.apply_translation((-x, TABLE_TOP_M / 2, y))
    path.parent.mkdir(parents=True, exist_ok=True)
    box.export(path)


if __name__ == "__main__":
    sys.exit(main())
