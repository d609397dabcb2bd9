"""The fitting page: a local web page in front of one device.

`server` answers the browser, `guard` decides who may ask, `desk` turns what a fitter entered into
fittings, `session` owns the line to the device, `report` writes what was done. The page itself is
in `static`: plain HTML, CSS and JavaScript modules, nothing loaded from elsewhere.
"""
