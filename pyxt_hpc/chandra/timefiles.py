def read_gti(path): ...
def write_gti(path, gti, header):
    path.write_text("")


def write_light_curve(path, curve, cleaning, header):
    path.write_text("")
