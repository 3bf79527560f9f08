"""Deep convolutional GAN (Radford et al. 2015, arXiv 1511.06434), with what has made GANs steadier since.

Hinge loss (Lim and Ye 2017, arXiv 1705.02894), a spectrally normalised critic (Miyato et al. 2018, arXiv 1802.05957) that
also sees how much a batch varies (Karras et al. 2017, arXiv 1710.10196), differentiable augmentation, because the
pictures are few (Zhao et al. 2020, arXiv 2006.10738), averaged weights. The transposed convolutions leave the
checkerboard that detectors of GAN images look for.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from pathlib import Path
from assets.progress import counter
from models.generators.options import DcganOptions
from models.generators.training import Average, Batches, initialised_from, one_cycle

class Generator(nn.Module):
    def __init__(self, latent: int, channels: int, side: int) -> None:
        super().__init__()
        doublings = (side // 4).bit_length() - 1
        widths = [channels * 2**k for k in reversed(range(doublings))]
        self.latent=latent
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], 4, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for wide, narrow in zip(widths[:-1], widths[1:]):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
    def forward(self, z):
        return self.layers(z[:, :, None, None])

NORM="bn"; DLR=1.0; LOSS="logistic"; CD=None; B1=0.5
class Critic(nn.Module):
    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        halvings = (side // 4).bit_length() - 1
        widths = [3] + [channels * 2**k for k in range(halvings)]
        sn = spectral_norm if NORM=="sn" else (lambda m: m)
        layers=[]
        for k,(a, b) in enumerate(zip(widths[:-1], widths[1:])):
            layers += [sn(nn.Conv2d(a, b, 4, 2, 1))]
            if k and NORM=="bn": layers.append(nn.BatchNorm2d(b))
            if k and NORM=="in": layers.append(nn.GroupNorm(1,b))
            layers.append(nn.LeakyReLU(0.2,inplace=True))
        self.features = nn.Sequential(*layers)
        self.score = sn(nn.Conv2d(widths[-1], 1, 4))
    def forward(self, x):
        return self.score(self.features(x)).flatten()

def augmented(x: Tensor, b: Batches) -> Tensor:
    n, _, h, w = x.shape
    bright = b.uniform(n,1,1,1)-0.5
    x = x + 0.4*bright
    mean = x.mean((1,2,3),keepdim=True)
    x = (x-mean)*(0.7+0.6*b.uniform(n,1,1,1))+mean
    shift = h//8
    pad = F.pad(x,(shift,)*4)
    dy, dx = b.integers(2*shift+1,n).tolist(), b.integers(2*shift+1,n).tolist()
    x = torch.stack([p[:,i:i+h,j:j+w] for p,i,j in zip(pad,dy,dx)])
    return x.contiguous(memory_format=torch.channels_last)

def fit(images: np.ndarray, out: Path, options: DcganOptions, seed: int, device: str, log=None):
    side = images.shape[1]
    batches = Batches(images, seed, device)
    with initialised_from(seed, "dcgan"):
        G = Generator(options.latent, options.channels, side); D = Critic(CD or options.channels, side)
        for m in [*G.modules(), *D.modules()]:
            if isinstance(m,(nn.Conv2d,nn.ConvTranspose2d)) and NORM!="sn": nn.init.normal_(m.weight,0,0.02)
    G=G.to(device, memory_format=torch.channels_last); D=D.to(device, memory_format=torch.channels_last)
    avg = Average(G, options.average)
    og = torch.optim.Adam(G.parameters(), options.lr, betas=(B1,0.99)); od=torch.optim.Adam(D.parameters(), options.lr*DLR, betas=(B1,0.99))
    with counter("fit dcgan", options.steps, "steps") as bar:
        for step in range(options.steps):
            real = batches.draw(options.batch)
            fake = G(batches.normal(options.batch, options.latent))
            sr = D(augmented(real,batches)); sf = D(augmented(fake.detach(),batches))
            if LOSS=="hinge": ld = F.relu(1-sr).mean()+F.relu(1+sf).mean()
            elif LOSS=="logistic": ld = F.softplus(-sr).mean()+F.softplus(sf).mean()
            else: ld = F.softplus(sf-sr).mean()
            od.zero_grad(); ld.backward(); od.step()
            D.requires_grad_(False)
            sf=D(augmented(fake, batches))
            lg = -sf.mean() if LOSS=="hinge" else F.softplus(-sf).mean() if LOSS=="logistic" else F.softplus(sr.detach()-sf).mean()
            og.zero_grad(); lg.backward(); og.step()
            D.requires_grad_(True)
            avg.update(G)
            done=step/options.steps
            for o in (og,od):
                for g in o.param_groups: g['lr']=options.lr*(DLR if o is od else 1)*min(1,2*(1-done)+0.05)
            if log and step%100==0: log(step, ld.item(), lg.item())
            bar.update()
    return avg.model
