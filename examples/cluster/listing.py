"""Which photographs there are, and what their results are called: as for `mirnet denoise` (examples/cli/files.hpp)."""
import concurrent.futures
import os
import stat

#: The format of a result by the extension of its photograph; the first extension of a format is the usual one.
WRITTEN = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "tif": "tiff", "tiff": "tiff",
           "webp": "webp", "jxl": "jxl", "bmp": "bmp", "pnm": "pnm", "pam": "pam", "pgm": "pgm", "ppm": "ppm",
           "pfm": "pfm"}
#: Extensions of formats that nobody writes: the content says what their results are.
READ_ONLY = {"avif", "heic", "heif", "tga", "pbm", "dng", "cr2", "cr3", "nef", "nrw", "arw", "raf", "orf", "rw2", "pef",
             "srw", "3fr", "erf", "kdc", "mrw", "x3f", "iiq"}
USUAL_SUFFIX = "-clean"
MARK = b"mirnet denoise "  # what EXIF's ProcessingSoftware begins with in results
FEW = 16  # threads that wait for the file system


class Refused(Exception):
    """What cannot be done, in a sentence, with the exit code of `mirnet` for it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Work:
    """One photograph and its result, by the names that the user knows."""

    __slots__ = ("source", "target", "folder")

    def __init__(self, source, target, folder):
        self.source, self.target = source, target
        self.folder = folder  # the folder that all results go to, or None


class WorkList:
    def __init__(self):
        self.works = []
        self.unreadable = []  # (folder, sentence)
        self.results = self.subfolders = self.others = 0  # what folders hold besides


def extension_of(name):
    """In small letters, without the dot."""
    return os.path.splitext(os.path.basename(name))[1][1:].lower()


def format_of_content(start):
    """The extension of the result of a file that begins so; None where it shows no format."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if start[4:8] == b"ftyp":
        return "tif" if start[8:11] == b"crx" else "jpg"  # Canon's raw files; AVIF and HEIC
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"FUJI", b"IIU\0", b"IIRO", b"IIRS", b"\0MRM", b"FOVb"):
        return "tif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "jxl"
    if start.startswith(b"BM"):
        return "bmp"
    if start[:1] == b"P" and start[1:2] in b"14":
        return "pgm"
    return None


def result_name(picture, suffix):
    """The file name of the result of a photograph, without a folder."""
    name = os.path.basename(picture)
    stem, dotted = os.path.splitext(name)
    extension = dotted[1:].lower()
    if extension in WRITTEN:
        return stem + suffix + dotted
    found = None
    try:
        if stat.S_ISREG(os.stat(picture).st_mode):  # a pipe would wait
            with open(picture, "rb") as file:
                found = format_of_content(file.read(32))
    except OSError:
        pass
    found = found or "png"
    # What follows the last dot of "holiday.2024" is no format: it stays.
    kept = dotted if dotted and extension not in READ_ONLY else ""
    return f"{stem}{suffix}{kept}.{found}"


def may_be_result_name(name, suffix):
    """Whether the result of another photograph may have such a name: a-clean.jpg, or a-clean.tga.png."""
    def has_suffix(stem):
        return len(stem) > len(suffix) and stem.endswith(suffix)

    stem = os.path.splitext(name)[0]
    inner, extension = os.path.splitext(stem)
    known = extension[1:].lower() in WRITTEN or extension[1:].lower() in READ_ONLY
    return bool(suffix) and (has_suffix(stem) or known and has_suffix(inner))


def has_result_mark(path):
    """Whether a file says in its first or last part, where formats keep EXIF data, that mirnet made it."""
    part = 192 << 10
    try:
        with open(path, "rb") as file:
            if MARK in file.read(part):
                return True
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - part, 0))
            return size > part and MARK in file.read(part)
    except OSError:
        return False


def result_folder(folder, suffix):
    """The folder for the results of a folder, beside it."""
    resolved = os.path.realpath(folder)
    if resolved == "/":
        raise Refused(2, f"{folder}: has no folder beside it for the results; use --output-dir")
    # A name that was given as it is stays as the user thinks of it.
    plain = folder.rstrip("/")
    if os.path.basename(plain) == os.path.basename(resolved) and not os.path.islink(plain):
        return plain + suffix
    return resolved + suffix


def same_file(a, b):
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def in_order(path):
    return os.fsencode(path).split(b"/")


class FolderWalk:
    def __init__(self, options, output_folders, found):
        self.options = options
        self.output_folders = [folder for folder in output_folders if folder is not None]
        self.found = found

    def is_output_folder(self, folder):
        return any(same_file(folder, output) for output in self.output_folders)

    def walk(self, top):
        """The photographs in a folder, in the order of their names."""
        pictures, folders = [], [top]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        # Links to folders are not followed: they may lead in circles.
                        if not entry.is_symlink() and entry.is_dir():
                            if self.is_output_folder(entry.path):
                                continue
                            if self.options.recursive:
                                folders.append(entry.path)
                            else:
                                self.found.subfolders += 1
                        elif self.may_be_picture(entry):
                            pictures.append(entry.path)
            except OSError as why:
                self.found.unreadable.append((folder, f"{folder}: the folder cannot be read: {why.strerror}"))
        pictures.sort(key=in_order)
        if not self.options.include_results:
            with concurrent.futures.ThreadPoolExecutor(FEW) as threads:
                are_results = list(threads.map(self.is_result, pictures))
            self.found.results += sum(are_results)
            pictures = [picture for picture, is_result in zip(pictures, are_results) if not is_result]
        return pictures

    def may_be_picture(self, entry):
        extension = extension_of(entry.name)
        if extension not in WRITTEN and extension not in READ_ONLY:
            self.found.others += 1
            return False
        try:
            return stat.S_ISREG(entry.stat().st_mode)
        except OSError:
            return True  # reading it tells why

    def is_result(self, path):
        name = os.path.basename(path)
        return (may_be_result_name(name, USUAL_SUFFIX) or may_be_result_name(name, self.options.suffix or "")
                or has_result_mark(path))


def list_work(options):
    """A WorkList of `options`: files, output_dir, suffix, recursive, include_results. Raises Refused."""
    files, target = options.files, options.output_dir
    if len(files) > 1 and target is None and options.suffix is None and not os.path.lexists(files[-1]):
        raise Refused(3, f"{files[-1]}: no such file; all names are inputs, and -o says where results go")
    targets = []
    for name in files:
        beside = target is None and options.suffix is None and os.path.isdir(name)
        targets.append(result_folder(name, USUAL_SUFFIX) if beside else target)
    found = WorkList()
    folders = FolderWalk(options, targets, found)
    named = []  # (picture, folder for its result, that all results go to, suffix)
    for name, into in zip(files, targets):
        if not os.path.isdir(name):
            suffix = options.suffix if options.suffix is not None else "" if into is not None else USUAL_SUFFIX
            named.append((name, os.path.dirname(name) if into is None else into, into, suffix))
        elif len(files) == 1 or not folders.is_output_folder(name):
            for picture in folders.walk(name):
                inside = os.path.relpath(os.path.dirname(picture), name)
                beside = into is None
                folder = os.path.dirname(picture) if beside else into if inside == "." else os.path.join(into, inside)
                named.append((picture, folder, into, options.suffix or ""))
    if not named:
        if len(found.unreadable) == 1:
            raise Refused(3, found.unreadable[0][1])
        if not found.unreadable:
            raise Refused(3, f"{files[0]}: contains only results of earlier runs; --include-results takes them as "
                             f"inputs" if found.results else
                             f"{files[0]}: contains no photographs" + ("" if options.recursive else
                                                                       "; -r includes subfolders"))
    taken = {}
    for picture, folder, into, suffix in named:
        result = os.path.join(folder, result_name(picture, suffix))
        place = os.path.abspath(result)
        if place in taken:
            raise Refused(2, f"{taken[place]} and {picture} have the same result, {result}; restore them with "
                             f"different --output-dir or --suffix")
        taken[place] = picture
        found.works.append(Work(picture, result, into))
    return found


def check_output_folders(works):
    """Raises Refused if a folder for results, or the first one above it that exists, cannot be written to."""
    for named in dict.fromkeys(work.folder for work in works if work.folder is not None):
        folder = os.path.abspath(named)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            raise Refused(8, f"{named}: cannot create this folder for the results: {folder} is a file; use another "
                             f"folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refused(8, f"{named}: cannot write results to this folder; use another with --output-dir")


def existing(works):
    """For each work, whether there is something under the name of its result."""
    with concurrent.futures.ThreadPoolExecutor(FEW) as threads:
        return list(threads.map(lambda work: os.path.exists(work.target), works))
